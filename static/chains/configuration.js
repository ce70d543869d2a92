// The fields of a chain's configurable options. Only values that differ from the defaults are sent.

import { Choices } from "./choices.js";
import { FieldSet } from "./fields.js";
import { faultText } from "./values.js";

export class Configuration {
  // Both are lists from the server: [[name, ...], ...]. The page of a chain without options has no section.
  constructor({ config_choices: choices, config_defaults: defaults }) {
    this.section = document.getElementById("config");
    this.fields = this.section && new FieldSet(this.section, { choices });
    this.choices = new Choices(defaults);
    this.changes = document.getElementById("config-changes");
    for (const event of ["input", "change"]) {
      this.section?.addEventListener(event, () => this.showChanges());
    }
    this.showChanges();
  }

  // Returns the config to send without the fields that are invalid; undefined if nothing is changed.
  draft() {
    return this.choices.config(this.fields?.collected(() => {}) ?? []);
  }

  // Returns { config }, or { invalid: true } after showing each error at its field.
  read() {
    if (!this.fields) return {};
    this.fields.clearErrors();
    const { entries, invalid } = this.fields.read();
    if (!invalid) return { config: this.choices.config(entries) };
    this.section.open = true;
    return { invalid };
  }

  // Shows the errors that belong to the config, and returns the others.
  showErrors(errors) {
    if (!this.fields) return errors;
    const isOurs = ({ loc = [] }) => loc[0] === "configurable" && this.fields.find(loc[1]);
    for (const { loc, msg } of errors.filter(isOurs)) {
      this.section.open = true;
      this.fields.find(loc[1]).say(faultText(loc.slice(2), msg));
    }
    return errors.filter((error) => !isOurs(error));
  }

  showChanges() {
    if (!this.section) return;
    const count = Object.keys(this.draft()?.configurable ?? {}).length;
    this.changes.textContent = count ? `${count} changed` : "";
  }
}
