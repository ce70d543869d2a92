// Converts between a control's text and the value of its field, and words the errors.

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

// Returns the value in a control; undefined if it is empty. Throws InvalidValue.
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

// Returns a value as the text of its control.
export function valueText(kind, value) {
  if (value === undefined || value === null) return "";
  if (kind === "json" || kind === "messages") return JSON.stringify(value, null, 2);
  return typeof value === "string" ? value : JSON.stringify(value);
}

// Returns an error from the server as text. `loc` is relative to the field that shows it.
export function faultText(loc, msg) {
  return loc.length ? `${loc.join(".")}: ${msg}` : msg;
}
