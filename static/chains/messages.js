// A list of chat messages as rows of role and text. The hidden textarea stores it as JSON.

import { roleAfter, rowsOf, textOf } from "./message-text.js";

export class MessageList {
  // With `offersFirst`, an empty list shows one empty row. It becomes a message when it has a text.
  constructor(element, textarea, { asPairs, offersFirst }) {
    this.element = element;
    this.textarea = textarea;
    this.asPairs = asPairs;
    this.offersFirst = offersFirst;
    this.rows = element.querySelector("[data-message-rows]");
    this.template = element.querySelector("template");
    this.roles = [...this.template.content.querySelectorAll("option")].map(({ value }) => value);
    element.addEventListener("input", () => this.#store());
    element.addEventListener("click", (event) => this.#clicked(event.target));
    this.show();
  }

  get firstControl() {
    if (this.element.hidden) return null;
    return this.element.querySelector("[data-text]") ?? this.#addButton;
  }

  get #addButton() {
    return this.element.querySelector("[data-add-message]");
  }

  // Shows the textarea's messages as rows. If its text is no list of messages, shows the textarea instead.
  show() {
    const messages = rowsOf(this.textarea.value, this);
    this.element.hidden = messages === null;
    this.textarea.hidden = messages !== null;
    if (messages === null) return;
    this.rows.replaceChildren();
    for (const message of messages) this.#add(message);
    if (this.offersFirst && !messages.length) this.#add({});
  }

  #add({ type, content }) {
    const row = this.template.content.cloneNode(true).firstElementChild;
    if (type) row.querySelector("[data-role]").value = type;
    row.querySelector("[data-text]").value = content ?? "";
    this.rows.append(row);
    return row;
  }

  #clicked(target) {
    const remove = target.closest("[data-remove-message]");
    if (remove) {
      const row = remove.closest("li");
      const neighbour = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (neighbour?.querySelector("[data-text]") ?? this.#addButton).focus();
    } else if (target.closest("[data-add-message]")) {
      const last = this.rows.lastElementChild?.querySelector("[data-role]").value;
      this.#add({ type: roleAfter(last) }).querySelector("[data-text]").focus();
    } else return;
    this.#store();
    this.textarea.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #store() {
    const rows = [...this.rows.children].map((row) => ({
      type: row.querySelector("[data-role]").value,
      content: row.querySelector("[data-text]").value,
    }));
    this.textarea.value = textOf(rows, this);
  }
}
