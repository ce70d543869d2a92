// Values of fields: how a control's text becomes one, how one becomes text, and what is wrong with it.

export class InvalidValue extends Error {}

const textOf = ({ value }) => (value === "" ? undefined : value);

const READERS = {
  text: textOf,
  file: textOf,
  choice: textOf,
  boolean: (control) => control.checked,
  integer: (control) => readNumber(control, true),
  number: (control) => readNumber(control, false),
  json: readJSON,
  messages: readJSON,
};

// The value in a control; undefined where it is left empty.
export function readValue(kind, control) {
  return READERS[kind](control);
}

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

// A value as a control holds it.
export function valueText(kind, value) {
  if (value === undefined || value === null) return "";
  if (kind === "json" || kind === "messages") return JSON.stringify(value, null, 2);
  return typeof value === "string" ? value : JSON.stringify(value);
}

// An error of the server, { loc, msg }, as text; `loc` from where the reader already is.
export function faultText(loc, msg) {
  return loc.length ? `${loc.join(".")}: ${msg}` : msg;
}
