// Scrolls content that grows: if its end is visible, the end stays visible.

export class Follower {
  #scroller;
  #nearEndPx;

  // The end counts as visible if it is at most `nearEndPx` pixels away.
  constructor(scroller, nearEndPx) {
    this.#scroller = scroller;
    this.#nearEndPx = nearEndPx;
  }

  // Makes a change to the content. If the user has scrolled up, the position stays.
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
