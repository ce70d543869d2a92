// The button that begins a run and the one that stops it: only one of them can be used at a time.

export class RunButtons {
  #run;
  #stop;
  #off;

  // `off` is how a button that cannot be used is: "disabled" or "hidden".
  constructor({ run, stop, off, onStop }) {
    this.#run = run;
    this.#stop = stop;
    this.#off = off;
    stop.addEventListener("click", onStop);
  }

  // The focus goes along from one to the other: a button that is switched off would drop it.
  show({ isRunning, isReady }) {
    const [from, to] = isRunning ? [this.#run, this.#stop] : [this.#stop, this.#run];
    const hadFocus = from.ownerDocument.activeElement === from;
    to.hidden = to.disabled = false;
    if (hadFocus) to.focus();
    from[this.#off] = true;
    this.#run.disabled = !isReady;
  }
}
