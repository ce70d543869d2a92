// A reader of something that grows: its end is kept in view for as long as it is in view.

export class Follower {
  #scroller;
  #nearEndPx;

  // Within `nearEndPx` of the end, a reader is at the end.
  constructor(scroller, nearEndPx) {
    this.#scroller = scroller;
    this.#nearEndPx = nearEndPx;
  }

  // Makes a change to what is read. A reader who scrolled up stays there.
  following(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < this.#nearEndPx;
    change();
    if (isAtEnd) this.goToEnd();
  }

  goToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}
