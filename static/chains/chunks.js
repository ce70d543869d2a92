// What the chunks of a run add up to, as text.

import { asText, chunkText } from "./figures.js";

export class Chunks {
  #values = [];

  get isEmpty() {
    return this.#values.length === 0;
  }

  // { added }, a piece of the text, or { whole }, which stands in place of all before. Lists grow by
  // their new items; an object comes whole each time, as far as it is known.
  add(value) {
    const added = chunkText(value);
    if (added !== null) {
      this.#values.push(added);
      return { added };
    }
    if (Array.isArray(value)) this.#values.push(...value);
    else this.#values = [value];
    return { whole: asText(Array.isArray(value) ? this.#values : value) };
  }
}
