// The input form: returns the chain's input, is filled from one, and shows errors at their fields.

import { FieldSet } from "./fields.js";
import { faultText, InvalidValue } from "./values.js";

export class InputForm {
  constructor(panel, { choices, maxBytes }) {
    this.isWhole = "whole" in panel.dataset;
    this.formView = document.getElementById("form-view");
    this.jsonView = document.getElementById("json-view");
    this.fields = new FieldSet(this.formView, { choices, maxBytes });
    this.raw = document.getElementById("raw-input");
    this.rawError = document.getElementById("raw-error");
    this.raw.addEventListener("input", () => this.#sayRaw(""));
  }

  get isRaw() {
    return !this.jsonView.hidden;
  }

  focusFirst() {
    (this.isRaw ? this.raw : this.fields.first?.focusTarget)?.focus();
  }

  // Returns the input for people to read, without invalid fields; null if the JSON text is invalid.
  sketch() {
    return this.#draft((field) => field.sketch());
  }

  #draft(read) {
    if (this.isRaw) {
      try {
        return JSON.parse(this.raw.value);
      } catch {
        return null;
      }
    }
    return this.#input(this.fields.collected(() => {}, read));
  }

  // Returns { input }, or { invalid: true } after showing each error at its field and focusing the first.
  read() {
    this.clearErrors();
    if (this.isRaw) return this.#readRaw();
    const { entries, invalid } = this.fields.read();
    return invalid ? { invalid } : { input: this.#input(entries) };
  }

  #input(entries) {
    return this.isWhole ? entries[0]?.[1] : Object.fromEntries(entries);
  }

  #readRaw() {
    try {
      return { input: JSON.parse(this.raw.value) };
    } catch (error) {
      this.#sayRaw(`Not valid JSON: ${error.message}`);
      return { invalid: true };
    }
  }

  // Shows errors from the server, each { loc: ["topic"], msg }. Returns the texts of those without a field.
  showErrors(errors) {
    const rest = [];
    let first = null;
    for (const { loc = [], msg } of errors) {
      const field = this.isWhole ? this.fields.first : this.fields.find(loc[0]);
      if (!field || this.isRaw) rest.push(faultText(loc, msg));
      else {
        field.say(faultText(this.isWhole ? loc : loc.slice(1), msg));
        first ??= field;
      }
    }
    if (this.isRaw && rest.length) this.#sayRaw(rest.splice(0).join("\n"));
    first?.focusTarget.focus();
    return rest;
  }

  hasField(name) {
    return !this.isWhole && this.fields.find(name) !== undefined;
  }

  clearErrors() {
    this.fields.clearErrors();
    this.#sayRaw("");
  }

  // Both return whether the requested view is shown. A JSON text that does not fit the form stays as JSON.
  showAsJSON() {
    if (!this.isRaw) {
      this.raw.value = JSON.stringify(this.#draft((field) => field.read()) ?? {}, null, 2);
    }
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
    if (this.isWhole) return this.fields.first.fill(input);
    if (input === null || typeof input !== "object" || Array.isArray(input)) {
      throw new InvalidValue("The form needs a JSON object.");
    }
    const values = new Map(Object.entries(input));
    const unknown = [...values.keys()].filter((name) => !this.fields.find(name));
    if (unknown.length) throw new InvalidValue(`The form has no field for: ${unknown.join(", ")}.`);
    for (const field of this.fields.all) field.fill(values.get(field.name));
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
}
