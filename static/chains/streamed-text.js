// A text that grows by pieces, and the reader who follows it. Text only, never HTML.

export class StreamedText {
  #element;
  #follower;
  #pending = "";
  #frame = null;

  constructor(element, follower) {
    this.#element = element;
    this.#follower = follower;
  }

  // One paint per frame, however many pieces came.
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

  // Puts `text` in place of what came so far; returns whether that is another text.
  replace(text) {
    this.flush();
    if (this.#element.textContent === text) return false;
    this.#follower.following(() => {
      this.#element.textContent = text;
    });
    return true;
  }
}
