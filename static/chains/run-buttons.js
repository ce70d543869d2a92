// The buttons that start and stop a run. Only one of them can be used at a time.

export class RunButtons {
  #run;
  #stop;
  #off;

  // `off` is the property that switches a button off: "disabled" or "hidden".
  constructor({ run, stop, off, onStop }) {
    this.#run = run;
    this.#stop = stop;
    this.#off = off;
    stop.addEventListener("click", onStop);
  }

  // Moves the focus to the other button, because a button that is switched off loses it.
  show({ isRunning, isReady }) {
    const [from, to] = isRunning ? [this.#run, this.#stop] : [this.#stop, this.#run];
    const hadFocus = from.ownerDocument.activeElement === from;
    to.hidden = to.disabled = false;
    if (hadFocus) to.focus();
    from[this.#off] = true;
    this.#run.disabled = !isReady;
  }
}
