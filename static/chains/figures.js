// How a run's figures read, the same as on the pages the server renders.

export const NONE = "–";
const UNKNOWN = "unknown";

export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return NONE;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

export function cost(usd) {
  if (usd === null || usd === undefined) return UNKNOWN;
  const text = /e/i.test(String(usd)) ? Number(usd).toFixed(10) : String(usd);
  return `$${text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text}`;
}

export function tokens(input, output) {
  const known = (count) => typeof count === "number";
  if (!known(input) && !known(output)) return UNKNOWN;
  const shown = (count) => (known(count) ? count.toLocaleString("en-US") : UNKNOWN);
  return `${shown(input)} in, ${shown(output)} out`;
}

// How long a run took, as far as that is known.
export function timingsText({ first_token_ms: first, latency_ms: total } = {}) {
  const parts = [];
  if (first !== null && first !== undefined) parts.push(`first token ${duration(first)}`);
  if (total !== undefined) parts.push(`total ${duration(total)}`);
  return parts.join(" · ");
}

// Which version of a configured chain, or which software a chain in code comes from.
function versionText({ version, package: software }) {
  return version === null ? software || NONE : `version ${version}`;
}

export function versions(started, models) {
  const { prompts } = started;
  const parts = [versionText(started)];
  for (const [slug, number] of Object.entries(prompts ?? {})) parts.push(`${slug} v${number}`);
  return [...parts, ...models].join(" · ");
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
