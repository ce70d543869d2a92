// A file as a value: the user chooses or drops it, and the hidden textarea stores it as base64.

import { bytesIn, bytesThatFit, sizeText } from "./sizes.js";

// If the user drops a file beside the drop zone, the browser would open it in place of the page.
for (const event of ["dragover", "drop"]) {
  document.addEventListener(event, (drag) => {
    if ([...(drag.dataTransfer?.types ?? [])].includes("Files")) drag.preventDefault();
  });
}

export class FileInput {
  constructor(element, textarea, { maxBytes, onProblem }) {
    const slot = (name) => element.querySelector(`[data-file-${name}]`);
    Object.assign(this, { element, textarea, onProblem });
    this.largest = bytesThatFit(maxBytes);
    this.input = slot("input");
    this.chosen = slot("chosen");
    this.nameSlot = slot("name");
    this.sizeSlot = slot("size");
    this.verb = slot("verb");
    this.name = "";
    for (const label of document.querySelectorAll(`label[for="${textarea.id}"]`)) {
      label.htmlFor = this.input.id;
    }
    this.input.addEventListener("change", () => this.#take(this.input.files[0]));
    slot("remove").addEventListener("click", () => this.#remove());
    this.#listenForDrops();
    textarea.hidden = true;
    element.hidden = false;
    this.show();
  }

  get firstControl() {
    return this.input;
  }

  // A short text in place of the bytes, for code that people read.
  get sketch() {
    return `<base64 of ${this.name || "the file"}>`;
  }

  show() {
    const { length } = this.textarea.value;
    this.chosen.hidden = length === 0;
    this.verb.textContent = length ? "Choose another file" : "Choose a file";
    if (!length) this.name = "";
    this.nameSlot.textContent = this.name || "A file";
    this.sizeSlot.textContent = sizeText(bytesIn(this.textarea.value));
  }

  #listenForDrops() {
    const zone = this.element;
    zone.addEventListener("dragover", () => zone.classList.add("is-over"));
    zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));
    zone.addEventListener("drop", (event) => {
      zone.classList.remove("is-over");
      this.#take(event.dataTransfer.files[0]);
    });
  }

  async #take(file) {
    // Without this, no event is sent when the user chooses the same file again.
    this.input.value = "";
    if (!file) return;
    if (file.size > this.largest) {
      const most = sizeText(this.largest);
      this.onProblem(`${file.name} has ${sizeText(file.size)}; at most ${most} fit into one input.`);
    } else if (!file.size) this.onProblem(`${file.name} is empty.`);
    else {
      try {
        this.#keep(await base64Of(file), file.name);
      } catch {
        this.onProblem(`${file.name} cannot be read.`);
      }
    }
  }

  #remove() {
    this.#keep("", "");
    this.input.focus();
  }

  #keep(text, name) {
    this.textarea.value = text;
    this.name = name;
    this.show();
    this.textarea.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}
