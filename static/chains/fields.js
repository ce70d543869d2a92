// Form fields made from a JSON Schema: each reads its value, is filled from one, says its error.
//
// Field names come from the chain's schema and may be anything, "__proto__" and "querySelector"
// included. So nothing here is looked up on the form element or in a plain object by such a name.

import { FileInput } from "./files.js";
import { MessageList } from "./messages.js";
import { InvalidValue, readValue, valueText } from "./values.js";

class Field {
  constructor(element, { maxBytes }) {
    this.name = element.dataset.field;
    this.kind = element.dataset.kind;
    this.isRequired = "required" in element.dataset;
    this.control = element.querySelector("textarea, select, input");
    this.error = element.querySelector("[data-error]");
    this.element = element;
    this.stand = this.#standIn({ maxBytes });
    if (this.error.textContent) this.control.setAttribute("aria-invalid", "true");
  }

  // What a person uses in place of the plain control, which keeps the value.
  #standIn({ maxBytes }) {
    const list = this.element.querySelector("[data-messages]");
    const { pairs, whole } = this.element.dataset;
    if (list) {
      const options = { asPairs: pairs !== undefined, offersFirst: whole !== undefined };
      return new MessageList(list, this.control, options);
    }
    const file = this.element.querySelector("[data-file]");
    if (!file) return null;
    return new FileInput(file, this.control, { maxBytes, onProblem: (text) => this.say(text) });
  }

  get focusTarget() {
    return this.stand?.firstControl ?? this.control;
  }

  // The field's value; undefined when left empty. Choices that are no strings carry their JSON.
  read() {
    const value = readValue(this.kind, this.control);
    if (value === undefined && this.kind === "messages" && this.isRequired) return [];
    if (value === undefined && this.isRequired) throw new InvalidValue("This field is required.");
    return this.kind === "choice" && this.choices?.has(value) ? this.choices.get(value) : value;
  }

  // The same for a reader, to whom the bytes of a file say nothing.
  sketch() {
    const value = this.read();
    return this.kind === "file" && value !== undefined ? this.stand.sketch : value;
  }

  fill(value) {
    if (this.kind === "boolean") this.control.checked = value === true;
    else this.control.value = valueText(this.kind, value);
    this.stand?.show();
  }

  say(text) {
    this.error.textContent = text;
    if (text) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

export class FieldSet {
  // `choices` maps a field's name to its options that are no strings: [[shown text, value], ...].
  constructor(root, { choices = [], maxBytes = Infinity } = {}) {
    const elements = [...root.querySelectorAll("[data-field]")];
    this.all = elements.map((element) => new Field(element, { maxBytes }));
    const byName = new Map(choices);
    for (const field of this.all) {
      if (byName.has(field.name)) field.choices = new Map(byName.get(field.name));
    }
    root.addEventListener("input", (event) => this.#edited(event.target));
  }

  get first() {
    return this.all[0];
  }

  find(name) {
    return this.all.find((field) => field.name === name);
  }

  // [[name, value], ...] of what is not left empty.
  collected(onError, read = (field) => field.read()) {
    const entries = [];
    for (const field of this.all) {
      try {
        const value = read(field);
        if (value !== undefined) entries.push([field.name, value]);
      } catch (error) {
        if (!(error instanceof InvalidValue)) throw error;
        onError(field, error);
      }
    }
    return entries;
  }

  // { entries } or { invalid: true }, with each error said at its field and the first one focused.
  read() {
    let first = null;
    const entries = this.collected((field, error) => {
      field.say(error.message);
      first ??= field;
    });
    if (!first) return { entries };
    first.focusTarget.focus();
    return { invalid: true };
  }

  clearErrors() {
    for (const field of this.all) field.say("");
  }

  #edited(target) {
    this.all.find(({ element }) => element.contains(target))?.say("");
  }
}
