// Adds up the chunks of a run to a text.

import { asText, chunkText } from "./figures.js";

export class Chunks {
  #values = [];

  get isEmpty() {
    return this.#values.length === 0;
  }

  // Returns { added }, a text to append, or { whole }, a text that replaces the text so far. A chunk that is
  // a list has only the new items. A chunk that is an object has all that is known of it so far.
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
