// The page's WebSocket: it connects again after a failure, and reports its state.

const SHORTEST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const PING_EVERY_MS = 20_000;
const PONG_WITHIN_MS = 10_000;

const SIGNED_OUT = 4401;
const REFUSED = [4403, 4404];
const TOO_MANY = 4429;

// Milliseconds until the next try. The longest wait doubles with each failure, and the wait is random, so
// that clients do not all connect at once.
export function waitBeforeTry(failures, random = Math.random) {
  const ceiling = Math.min(LONGEST_WAIT_MS, SHORTEST_WAIT_MS * 2 ** failures);
  return SHORTEST_WAIT_MS + random() * (ceiling - SHORTEST_WAIT_MS);
}

// A script cannot see why a WebSocket handshake was refused. So this requests the page's own address, which
// redirects users who are signed out.
async function whyRefused() {
  try {
    const answer = await fetch(window.location.href, { redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return "signed-out";
    if (answer.status === 403 || answer.status === 404) return "refused";
  } catch {
    // No response: the server or the network is down. Try again later.
  }
  return "away";
}

// States: connecting, connected, reconnecting, signed-out, refused.
export class ChainSocket {
  #url;
  #onState;
  #onMessage;
  #socket = null;
  #failures = 0;
  #retry = null;
  #heartbeat = null;
  #deadline = null;
  #ended = false;

  constructor(path, { onState, onMessage }) {
    this.#url = new URL(path, window.location.href);
    this.#url.protocol = this.#url.protocol === "https:" ? "wss:" : "ws:";
    this.#onState = onState;
    this.#onMessage = onMessage;
    window.addEventListener("online", () => this.#tryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#tryNow();
    });
    // A page that the browser restores for the back button has a closed socket.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#tryNow();
    });
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (!this.isOpen) return false;
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
    return true;
  }

  connect() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#onState(this.#failures ? "reconnecting" : "connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
      this.#failures = 0;
      this.#onState("connected");
      this.#heartbeat = setInterval(() => this.#ping(), PING_EVERY_MS);
    });
    socket.addEventListener("message", (event) => this.#receive(event.data));
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) this.#closed(event.code, opened);
    });
  }

  #tryNow() {
    if (this.#retry !== null) this.connect();
  }

  #ping() {
    this.send({ type: "ping" });
    this.#deadline ??= setTimeout(() => {
      // The server has gone without closing the connection, and close() could wait for it for a long time.
      const dead = this.#socket;
      this.#closed(1006, true);
      dead.close();
    }, PONG_WITHIN_MS);
  }

  #receive(text) {
    clearTimeout(this.#deadline);
    this.#deadline = null;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type !== "pong") this.#onMessage(message);
  }

  async #closed(code, opened) {
    this.#socket = null;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#deadline);
    this.#deadline = null;
    if (this.#ended) return;
    this.#failures += 1;
    if (code === SIGNED_OUT) return this.#end("signed-out");
    if (REFUSED.includes(code)) return this.#end("refused");
    if (code === TOO_MANY) return this.#end("too-many");
    this.#onState("reconnecting");
    if (!opened) {
      const reason = await whyRefused();
      if (reason !== "away") return this.#end(reason);
    }
    this.#retry = setTimeout(() => this.connect(), waitBeforeTry(this.#failures));
  }

  #end(state) {
    this.#ended = true;
    this.#onState(state);
  }
}
