// Texts of values and figures while a run is in progress. When it has ended, the server sends the texts.

export const NONE = "–";

// The text of the clock that runs during a run.
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

// Returns the known times of a run in one line; the arguments are texts from the server.
export function timingsText({ first_token: first = NONE, total_time: total = NONE } = {}) {
  const parts = [];
  if (first !== NONE) parts.push(`first token ${first}`);
  if (total !== NONE) parts.push(`total ${total}`);
  return parts.join(" · ");
}

// Returns a text unchanged, of a message the text of its content, and anything else as indented JSON.
export function asText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  return messageText(value) || JSON.stringify(value, null, 2);
}

// Returns a message's text. Null for a value that is no message; "" for a message without text, such as one
// that only calls tools.
function messageText(value) {
  if (value === null || typeof value !== "object" || !("type" in value && "content" in value)) return null;
  const blocks = Array.isArray(value.content) ? value.content : [value.content];
  const texts = blocks.map((block) => (typeof block === "string" ? block : block?.text));
  return texts.filter((text) => typeof text === "string").join("");
}

// Returns the text that a chunk adds, or null for a chunk that is data.
export function chunkText(value) {
  return typeof value === "string" ? value : messageText(value);
}
