// Form fields made from a JSON Schema: each returns its value, can be filled, and shows its error.
//
// Field names come from the chain's schema and may be any text, including "__proto__" and "querySelector".
// So this code never uses a name as a property of the form element or of a plain object.

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

  // Returns the richer control that people use instead of the plain one. The plain control stores the value.
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

  // Returns the field's value; undefined if the field is empty. Throws InvalidValue. For a choice that is no
  // string, the control has its JSON text, and `choices` has the value.
  read() {
    const value = readValue(this.kind, this.control);
    if (value === undefined && this.kind === "messages" && this.isRequired) return [];
    if (value === undefined && this.isRequired) throw new InvalidValue("This field is required.");
    return this.kind === "choice" && this.choices?.has(value) ? this.choices.get(value) : value;
  }

  // Returns the value for people to read: a short text in place of a file's bytes.
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
  // `choices` is a list of [field name, [[shown text, value], ...]], for fields whose options are not all
  // strings.
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

  // Returns [[name, value], ...] of the fields that are not empty. Calls `onError` for each invalid field.
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

  // Returns { entries }, or { invalid: true } after showing each error at its field and focusing the first.
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
