// The input form: reads it as the chain's input, fills it from one, shows errors at their fields.
//
// Field names come from the chain's schema and may be anything, "__proto__" and "querySelector"
// included. So nothing here is looked up on the form element or in a plain object by such a name.

import { MessageList } from "./messages.js";

class InvalidValue extends Error {}

const READERS = {
  text: (control) => (control.value === "" ? undefined : control.value),
  choice: (control) => (control.value === "" ? undefined : control.value),
  boolean: (control) => control.checked,
  integer: (control) => readNumber(control, true),
  number: (control) => readNumber(control, false),
  json: readJSON,
  messages: readJSON,
};

function readNumber(control, isWhole) {
  if (control.validity.badInput) throw new InvalidValue("Enter a number.");
  if (control.value === "") return undefined;
  const value = Number(control.value);
  if (!Number.isFinite(value)) throw new InvalidValue("Enter a number.");
  if (isWhole && !Number.isInteger(value)) throw new InvalidValue("Enter a whole number.");
  if (isWhole && !Number.isSafeInteger(value)) {
    throw new InvalidValue("This number is too large to be sent exactly.");
  }
  if (control.min !== "" && value < Number(control.min)) {
    throw new InvalidValue(`Enter ${control.min} or more.`);
  }
  if (control.max !== "" && value > Number(control.max)) {
    throw new InvalidValue(`Enter ${control.max} or less.`);
  }
  return value;
}

function readJSON(control) {
  if (control.value.trim() === "") return undefined;
  try {
    return JSON.parse(control.value);
  } catch (error) {
    throw new InvalidValue(`Not valid JSON: ${error.message}`);
  }
}

class Field {
  constructor(element) {
    this.name = element.dataset.field;
    this.kind = element.dataset.kind;
    this.isRequired = "required" in element.dataset;
    this.control = element.querySelector("textarea, select, input");
    this.error = element.querySelector("[data-error]");
    const list = element.querySelector("[data-messages]");
    this.messages = list && new MessageList(list, this.control);
    if (this.error.textContent) this.control.setAttribute("aria-invalid", "true");
  }

  get focusTarget() {
    return this.messages?.firstControl ?? this.control;
  }

  // The field's value; undefined when left empty. Choices that are no strings carry their JSON.
  read() {
    const value = READERS[this.kind](this.control);
    if (value === undefined && this.kind === "messages" && this.isRequired) return [];
    if (value === undefined && this.isRequired) throw new InvalidValue("This field is required.");
    return this.kind === "choice" && this.choices?.has(value) ? this.choices.get(value) : value;
  }

  fill(value) {
    if (this.kind === "boolean") this.control.checked = value === true;
    else if (value === undefined || value === null) this.control.value = "";
    else if (this.kind === "json" || this.kind === "messages") {
      this.control.value = JSON.stringify(value, null, 2);
    } else this.control.value = typeof value === "string" ? value : JSON.stringify(value);
    this.messages?.show();
  }

  say(text) {
    this.error.textContent = text;
    if (text) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

export class InputForm {
  // `choices` maps a field's name to its options that are no strings: [[shown text, value], ...].
  constructor(panel, { choices }) {
    this.isWhole = "whole" in panel.dataset;
    this.fields = [...panel.querySelectorAll("[data-field]")].map((element) => new Field(element));
    const byName = new Map(choices);
    for (const field of this.fields) {
      if (byName.has(field.name)) field.choices = new Map(byName.get(field.name));
    }
    this.formView = document.getElementById("form-view");
    this.jsonView = document.getElementById("json-view");
    this.raw = document.getElementById("raw-input");
    this.rawError = document.getElementById("raw-error");
    panel.addEventListener("input", (event) => this.#edited(event.target));
  }

  get isRaw() {
    return !this.jsonView.hidden;
  }

  focusFirst() {
    (this.isRaw ? this.raw : this.fields[0]?.focusTarget)?.focus();
  }

  // The input as far as it can be read; `null` for a JSON text that is none.
  draft() {
    if (this.isRaw) {
      try {
        return JSON.parse(this.raw.value);
      } catch {
        return null;
      }
    }
    return this.#collected(() => {});
  }

  // { input } or { invalid: true }, with each error said at its field and the first one focused.
  read() {
    this.clearErrors();
    if (this.isRaw) return this.#readRaw();
    let first = null;
    const input = this.#collected((field, error) => {
      field.say(error.message);
      first ??= field;
    });
    if (!first) return { input };
    first.focusTarget.focus();
    return { invalid: true };
  }

  #readRaw() {
    try {
      return { input: JSON.parse(this.raw.value) };
    } catch (error) {
      this.#sayRaw(`Not valid JSON: ${error.message}`);
      return { invalid: true };
    }
  }

  #collected(onError) {
    const entries = [];
    for (const field of this.fields) {
      try {
        const value = field.read();
        if (value !== undefined) entries.push([field.name, value]);
      } catch (error) {
        if (!(error instanceof InvalidValue)) throw error;
        onError(field, error);
      }
    }
    return this.isWhole ? entries[0]?.[1] : Object.fromEntries(entries);
  }

  // Errors of the server, each { loc: ["topic"], msg }. Returns those that belong to no field.
  showErrors(errors) {
    const rest = [];
    let first = null;
    for (const { loc = [], msg } of errors) {
      const field = this.isWhole ? this.fields[0] : this.fields.find((f) => f.name === loc[0]);
      const path = (this.isWhole ? loc : loc.slice(1)).join(".");
      const text = path ? `${path}: ${msg}` : msg;
      if (!field || this.isRaw) rest.push(loc.length ? `${loc.join(".")}: ${msg}` : msg);
      else {
        field.say(text);
        first ??= field;
      }
    }
    if (this.isRaw && rest.length) this.#sayRaw(rest.splice(0).join("\n"));
    first?.focusTarget.focus();
    return rest;
  }

  clearErrors() {
    for (const field of this.fields) field.say("");
    this.#sayRaw("");
  }

  // Returns whether the switch was made: text that is no input of this form stays where it is.
  showAsJSON() {
    if (!this.isRaw) this.raw.value = JSON.stringify(this.draft() ?? {}, null, 2);
    this.#show({ raw: true });
    return true;
  }

  showAsForm() {
    if (!this.isRaw) return true;
    let input;
    try {
      input = JSON.parse(this.raw.value);
      this.#fill(input);
    } catch (error) {
      this.#sayRaw(error instanceof InvalidValue ? error.message : `Not valid JSON: ${error.message}`);
      return false;
    }
    this.#show({ raw: false });
    return true;
  }

  #fill(input) {
    if (this.isWhole) return this.fields[0].fill(input);
    if (input === null || typeof input !== "object" || Array.isArray(input)) {
      throw new InvalidValue("The form needs a JSON object.");
    }
    const values = new Map(Object.entries(input));
    const unknown = [...values.keys()].filter((name) => !this.fields.some((f) => f.name === name));
    if (unknown.length) throw new InvalidValue(`The form has no field for: ${unknown.join(", ")}.`);
    for (const field of this.fields) field.fill(values.get(field.name));
  }

  #show({ raw }) {
    this.clearErrors();
    this.jsonView.hidden = !raw;
    this.formView.hidden = raw;
  }

  #sayRaw(text) {
    this.rawError.textContent = text;
    if (text) this.raw.setAttribute("aria-invalid", "true");
    else this.raw.removeAttribute("aria-invalid");
  }

  #edited(target) {
    if (target === this.raw) this.#sayRaw("");
    const field = this.fields.find(
      ({ control, messages }) => control === target || messages?.contains(target),
    );
    field?.say("");
  }
}
