// What the page shows of a run: the answer as it comes, state, steps, figures. Text only, never HTML.

import * as figures from "./figures.js";

const TIMER_EVERY_MS = 100;
// A screen reader gets what came since last time, not each token.
const ANNOUNCE_EVERY_MS = 2500;
// Distance from the end within which the reader follows the answer.
const NEAR_END_PX = 40;

const byId = (id) => document.getElementById(id);

export class RunView {
  constructor() {
    this.answer = byId("answer");
    this.output = byId("output");
    this.status = byId("status");
    this.runButton = byId("run");
    this.stopButton = byId("stop");
    this.steps = [...document.querySelectorAll("[data-step]")];
    this.pendingText = "";
    this.unannounced = "";
    this.frame = null;
  }

  begin() {
    this.startedAt = performance.now();
    this.streamed = [];
    this.pendingText = this.unannounced = "";
    this.models = new Map();
    this.started = null;
    this.output.replaceChildren();
    byId("placeholder").hidden = true;
    byId("announcer").textContent = "";
    this.hideProblem();
    for (const id of ["first-token", "tokens", "cost", "versions"]) byId(id).textContent = figures.NONE;
    for (const step of this.steps) this.#markStep(step, "waiting");
    this.#setStatus("running", "Running");
    this.#setRunning(true);
    this.answer.setAttribute("aria-busy", "true");
    this.#tick();
    this.timer = setInterval(() => this.#tick(), TIMER_EVERY_MS);
    this.announcing = setInterval(() => this.#announce(), ANNOUNCE_EVERY_MS);
    byId("answer-panel").scrollIntoView({ block: "nearest" });
  }

  // `started` is the server's message of that name.
  showVersions(started) {
    this.started = started;
    const models = [...new Set(this.models.values())];
    byId("versions").textContent = figures.versions(started, models);
  }

  showStep({ name, status, provider, model, output }) {
    const label = [provider, model].filter(Boolean).join("/");
    // A stand-in that takes over begins the step again: the last one named is the one that answers.
    if (label) this.models.set(name, label);
    if (this.started) this.showVersions(this.started);
    const step = this.steps.find((element) => element.dataset.step === name);
    if (!step) return;
    this.#markStep(step, status);
    if (label) step.querySelector("[data-step-model]").textContent = label;
    if (output !== undefined && output !== null) {
      step.querySelector("[data-step-output]").textContent = figures.asText(output);
      step.querySelector("[data-step-details]").hidden = false;
    }
  }

  addChunk(value) {
    if (!this.streamed.length) {
      byId("first-token").textContent = figures.duration(performance.now() - this.startedAt);
    }
    const text = figures.chunkText(value);
    if (text === null) return this.#replaceText(this.#wholeOf(value));
    this.streamed.push(text);
    this.pendingText += text;
    this.unannounced += text;
    this.frame ??= requestAnimationFrame(() => this.#flush());
  }

  finish(outcome) {
    this.#flush();
    if (outcome.output !== undefined && outcome.output !== null) {
      const text = figures.asText(outcome.output);
      if (text !== this.output.textContent) this.#replaceText(text);
    }
    this.#showFigures(outcome);
    this.#end("done", "Done");
  }

  // A run that ended without an answer. What came of it stays.
  fail(outcome, { cancelled = false } = {}) {
    this.#flush();
    this.#showFigures(outcome);
    for (const step of this.steps) {
      if (step.dataset.status === "started") this.#markStep(step, cancelled ? "cancelled" : "failed");
    }
    this.#end(cancelled ? "cancelled" : "failed", cancelled ? "Cancelled" : "Failed");
  }

  showProblem(text, href = null) {
    byId("problem-text").textContent = text;
    const link = byId("problem-link");
    link.hidden = !href;
    if (href) link.href = href;
    byId("problem").hidden = false;
    this.answer.scrollTop = this.answer.scrollHeight;
  }

  hideProblem() {
    byId("problem").hidden = true;
    byId("problem-text").textContent = "";
  }

  #end(status, text) {
    clearInterval(this.timer);
    clearInterval(this.announcing);
    this.#announce();
    this.answer.setAttribute("aria-busy", "false");
    this.#setStatus(status, text);
    this.#setRunning(false);
  }

  #setStatus(status, text) {
    this.status.textContent = text;
    this.status.dataset.status = status;
  }

  // The focus goes along from Run to Stop and back: a disabled button would drop it.
  #setRunning(isRunning) {
    const [from, to] = isRunning
      ? [this.runButton, this.stopButton]
      : [this.stopButton, this.runButton];
    const hadFocus = document.activeElement === from;
    to.disabled = false;
    if (hadFocus) to.focus();
    from.disabled = true;
  }

  #tick() {
    byId("total-time").textContent = figures.duration(performance.now() - this.startedAt);
  }

  #showFigures(outcome) {
    if (outcome.first_token_ms !== undefined) {
      byId("first-token").textContent = figures.duration(outcome.first_token_ms);
    }
    const total = outcome.latency_ms ?? performance.now() - this.startedAt;
    byId("total-time").textContent = figures.duration(total);
    byId("tokens").textContent = figures.tokens(outcome.input_tokens, outcome.output_tokens);
    byId("cost").textContent = figures.cost(outcome.cost_usd);
  }

  #markStep(step, status) {
    step.dataset.status = status;
    const words = { started: "running", finished: "done" };
    step.querySelector("[data-step-status]").textContent = words[status] ?? status;
    if (status !== "waiting") return;
    step.querySelector("[data-step-model]").textContent = "";
    step.querySelector("[data-step-details]").hidden = true;
  }

  // One paint per frame, however many tokens came.
  #flush() {
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
    if (!this.pendingText) return;
    this.#following(() => this.output.append(this.pendingText));
    this.pendingText = "";
  }

  #replaceText(text) {
    this.#following(() => {
      this.output.textContent = text;
    });
    this.pendingText = "";
    this.unannounced = text;
  }

  // Follow the growing answer only while its end is in view: a reader who scrolled up stays there.
  #following(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.answer;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    change();
    if (isAtEnd) this.answer.scrollTop = this.answer.scrollHeight;
  }

  // Lists grow by their new items; an object comes whole each time, as far as it is known.
  #wholeOf(value) {
    if (!Array.isArray(value)) {
      this.streamed = [value];
      return figures.asText(value);
    }
    this.streamed.push(...value);
    return figures.asText(this.streamed);
  }

  #announce() {
    if (!this.unannounced) return;
    byId("announcer").textContent = this.unannounced;
    this.unannounced = "";
  }
}
