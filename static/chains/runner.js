// Runs the chain over the page's WebSocket, one run at a time, and reports its events and a lost connection.

import { ChainSocket } from "./socket.js";

export class Runner {
  #config;
  #handlers;
  #socket;
  // The current run: { id, isStopped }, or null.
  #current = null;
  // While the connection is lost: the id of the run that this interrupted, "" if that had no id yet, or null.
  #lost = null;

  // `handlers` by name. started, step, chunk, finished and failed get the server's message of that type.
  // refused gets the error message of a run that did not start; complained gets every other error message.
  // lost gets the run's id or "", and the state of the socket. back gets the run's id or "". state gets the
  // state of the socket. changed is called when `isRunning` or `isReady` may have changed.
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

  // Sends `call`, { input, config }. Returns the reason if it cannot be sent, else "".
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
    // A run without an id has not started yet. It is cancelled when the server sends `started`.
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

  // Without a run's id, an error means that the start was refused. Later it is about another frame.
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
