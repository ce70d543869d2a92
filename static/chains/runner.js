// One run at a time over the page's socket, and what becomes of it, also when the connection goes.

import { ChainSocket } from "./socket.js";

export class Runner {
  #config;
  #handlers;
  #socket;
  // The run that is going on: { id, isStopped }.
  #current = null;
  // What a lost connection left behind, until it is back: the id of its run, or "" if it had none yet.
  #lost = null;

  // `handlers`: started, step, chunk, finished and failed take the server's message, refused one that
  // stands in place of a run, complained any other error; lost and back a run's id or ""; state a word.
  // `changed` is called after whatever may have changed `isRunning` or `isReady`.
  constructor(config, handlers) {
    this.#config = config;
    this.#handlers = handlers;
    this.#socket = new ChainSocket(config.socket_path, {
      onState: (state) => this.#stateChanged(state),
      onMessage: (message) => this.#received(message),
    });
  }

  connect() {
    this.#socket.connect();
  }

  get isRunning() {
    return this.#current !== null;
  }

  get isReady() {
    return this.#current === null && this.#socket.isOpen;
  }

  runPath(id) {
    return this.#config.run_path.replace(this.#config.run_path_id, encodeURIComponent(id));
  }

  // `call` is { input, config }. Returns why it cannot be sent, or "".
  start(call, onStart) {
    const frame = JSON.stringify({ type: "start", ...call });
    const most = this.#config.max_frame_bytes;
    if (new TextEncoder().encode(frame).length > most) {
      return `This input is over ${Math.floor(most / 1024)} KB, too long for this page. Use the API for it.`;
    }
    this.#current = { id: null, isStopped: false };
    this.#lost = null;
    onStart();
    this.#socket.send(frame);
    this.#handlers.changed();
    return "";
  }

  stop() {
    if (!this.#current) return;
    // A run that has not said its id yet is stopped as soon as it does.
    if (this.#current.id) this.#socket.send({ type: "cancel" });
    else this.#current.isStopped = true;
  }

  #received(message) {
    const { type } = message;
    if (type === "error") return this.#refused(message);
    if (!this.#current) return;
    if (type === "started") {
      this.#current.id = message.run_id;
      if (this.#current.isStopped) this.#socket.send({ type: "cancel" });
    } else if (type === "finished" || type === "failed") this.#current = null;
    else if (type !== "step" && type !== "chunk") return;
    this.#handlers[type]?.(message);
    if (!this.#current) this.#handlers.changed();
  }

  // A refused start; once a run has an id, an error frame is about another frame.
  #refused(message) {
    if (!this.#current || this.#current.id) return this.#handlers.complained?.(message);
    this.#current = null;
    this.#handlers.refused(message);
    this.#handlers.changed();
  }

  #stateChanged(state) {
    if (state !== "connected" && this.#current) {
      this.#lost = this.#current.id ?? "";
      this.#current = null;
      this.#handlers.lost(this.#lost, state);
    }
    if (state === "connected" && this.#lost !== null) {
      const lost = this.#lost;
      this.#lost = null;
      this.#handlers.back(lost);
    }
    this.#handlers.state(state);
    this.#handlers.changed();
  }
}
