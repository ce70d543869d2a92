// Shows a text that grows by pieces, and scrolls with it. Text only, never HTML.

export class StreamedText {
  #element;
  #follower;
  #pending = "";
  #frame = null;

  constructor(element, follower) {
    this.#element = element;
    this.#follower = follower;
  }

  // The pieces of one animation frame are shown together.
  add(piece) {
    this.#pending += piece;
    this.#frame ??= requestAnimationFrame(() => this.flush());
  }

  flush() {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#frame = null;
    if (!this.#pending) return;
    this.#follower.following(() => this.#element.append(this.#pending));
    this.#pending = "";
  }

  // Replaces the text so far by `text`; returns whether the text has changed.
  replace(text) {
    this.flush();
    if (this.#element.textContent === text) return false;
    this.#follower.following(() => {
      this.#element.textContent = text;
    });
    return true;
  }
}
