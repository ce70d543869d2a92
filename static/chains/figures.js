// How a run's figures read while it runs; once it has ended the server words them.

export const NONE = "–";

// Of the running clock.
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

// How long a run took, as far as that is known; the texts are the server's.
export function timingsText({ first_token: first = NONE, total_time: total = NONE } = {}) {
  const parts = [];
  if (first !== NONE) parts.push(`first token ${first}`);
  if (total !== NONE) parts.push(`total ${total}`);
  return parts.join(" · ");
}

// A text as it is, a message by the text of its content, anything else as indented JSON.
export function asText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  return messageText(value) || JSON.stringify(value, null, 2);
}

// Null for what is no message, "" for one that says nothing, as those that call tools.
function messageText(value) {
  if (value === null || typeof value !== "object" || !("type" in value && "content" in value)) return null;
  const blocks = Array.isArray(value.content) ? value.content : [value.content];
  const texts = blocks.map((block) => (typeof block === "string" ? block : block?.text));
  return texts.filter((text) => typeof text === "string").join("");
}

// The text a chunk adds, or null for a chunk that is data.
export function chunkText(value) {
  return typeof value === "string" ? value : messageText(value);
}
