// How a run's figures read, the same as on the pages the server renders.

export const NONE = "–";
export const UNKNOWN = "unknown";

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

export function versions(version, prompts, models) {
  const parts = [`version ${version}`];
  for (const [slug, number] of Object.entries(prompts ?? {})) parts.push(`${slug} v${number}`);
  return [...parts, ...models].join(" · ");
}

// A text as it is, a message by its content, anything else as indented JSON.
export function asText(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (typeof value.content === "string" && "type" in value) return value.content;
  return JSON.stringify(value, null, 2);
}
