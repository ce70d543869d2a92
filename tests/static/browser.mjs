// As much of a browser as the modules under test ask for: a socket, frames, a store, elements.

export class FakeSocket extends EventTarget {
  static OPEN = 1;
  static all = [];

  static get last() {
    return FakeSocket.all.at(-1);
  }

  readyState = 0;
  sent = [];

  constructor(url) {
    super();
    this.url = String(url);
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {}

  open() {
    this.readyState = FakeSocket.OPEN;
    this.dispatchEvent(new Event("open"));
  }

  receive(message) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
  }

  // Goes away; `code` is why, as WebSockets say it.
  lose(code = 1006) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
}

// The globals of a page at `href`.
export function openPage(href = "https://chains.example.com/chains/joke/playground/") {
  FakeSocket.all = [];
  const window = Object.assign(new EventTarget(), { location: { href } });
  const document = Object.assign(new EventTarget(), { hidden: false });
  Object.assign(globalThis, { window, document, WebSocket: FakeSocket });
}

// Frames that are painted when `paint()` is called; returns that.
export function holdFrames() {
  const frames = new Map();
  let last = 0;
  globalThis.requestAnimationFrame = (draw) => {
    frames.set((last += 1), draw);
    return last;
  };
  globalThis.cancelAnimationFrame = (id) => frames.delete(id);
  return () => {
    const due = [...frames.values()];
    frames.clear();
    for (const draw of due) draw();
    return due.length;
  };
}

// Timers that come due when `tick(ms)` is called; returns that.
export function holdTime() {
  const timers = new Map();
  let now = 0;
  let last = 0;
  const add = (call, wait, every) => {
    timers.set((last += 1), { call, due: now + wait, every });
    return last;
  };
  globalThis.setTimeout = (call, wait = 0) => add(call, wait, null);
  globalThis.setInterval = (call, wait) => add(call, wait, wait);
  globalThis.clearTimeout = globalThis.clearInterval = (id) => timers.delete(id);
  return (ms) => {
    const until = now + ms;
    for (;;) {
      const [next] = [...timers].sort(([, a], [, b]) => a.due - b.due);
      if (!next || next[1].due > until) break;
      const [id, timer] = next;
      now = timer.due;
      if (timer.every === null) timers.delete(id);
      else timer.due += timer.every;
      timer.call();
    }
    now = until;
  };
}

export class FakeStore {
  #items = new Map();

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, String(value));
  }
}

// A text that counts how often it was written to.
export class FakeText {
  textContent = "";
  writes = 0;

  append(text) {
    this.textContent += text;
    this.writes += 1;
  }
}

export class FakeButton extends EventTarget {
  hidden = false;
  disabled = false;

  constructor(page) {
    super();
    this.ownerDocument = page;
  }

  focus() {
    if (!this.hidden && !this.disabled) this.ownerDocument.activeElement = this;
  }
}
