// Shows a run: the answer while it streams, the state, the steps and the figures. Text only, never HTML.

import { Chunks } from "./chunks.js";
import * as figures from "./figures.js";
import { Follower } from "./follower.js";
import { StreamedText } from "./streamed-text.js";

const TIMER_EVERY_MS = 100;
// How often a screen reader gets the new text; each token would be too much.
const ANNOUNCE_EVERY_MS = 2500;
// The panel scrolls with the answer if its end is at most this far away.
const NEAR_END_PX = 40;

const byId = (id) => document.getElementById(id);

export class RunView {
  // `statusTexts`: the server's text for each status.
  constructor(statusTexts) {
    this.statusTexts = statusTexts;
    this.answer = byId("answer");
    this.follower = new Follower(this.answer, NEAR_END_PX);
    this.text = new StreamedText(byId("output"), this.follower);
    this.status = byId("status");
    this.steps = [...document.querySelectorAll("[data-step]")];
    this.unannounced = "";
  }

  begin() {
    this.startedAt = performance.now();
    this.chunks = new Chunks();
    this.unannounced = "";
    this.models = new Map();
    this.started = null;
    this.text.replace("");
    byId("placeholder").hidden = true;
    byId("announcer").textContent = "";
    this.hideProblem();
    for (const id of ["first-token", "tokens", "cost", "versions"]) byId(id).textContent = figures.NONE;
    for (const step of this.steps) this.#markStep(step, "waiting");
    this.#setStatus("running", this.statusTexts.running);
    this.answer.setAttribute("aria-busy", "true");
    this.#tick();
    this.timer = setInterval(() => this.#tick(), TIMER_EVERY_MS);
    this.announcing = setInterval(() => this.#announce(), ANNOUNCE_EVERY_MS);
    byId("answer-panel").scrollIntoView({ block: "nearest" });
  }

  // `started` is the server's message of that type.
  showVersions(started) {
    this.started = started;
    const models = [...new Set(this.models.values())];
    byId("versions").textContent = [started.shown.versions, ...models].join(" · ");
  }

  showStep({ name, status, provider, model }) {
    const label = [provider, model].filter(Boolean).join("/");
    // If a fallback takes over, the step starts again. So the model that was named last gives the answer.
    if (label) this.models.set(name, label);
    if (this.started) this.showVersions(this.started);
    const step = this.steps.find((element) => element.dataset.step === name);
    if (!step) return;
    this.#markStep(step, status);
    if (label) step.querySelector("[data-step-model]").textContent = label;
  }

  addChunk(value) {
    if (this.chunks.isEmpty) {
      byId("first-token").textContent = figures.duration(performance.now() - this.startedAt);
    }
    const { added, whole } = this.chunks.add(value);
    if (whole !== undefined) return this.#replace(whole);
    this.text.add(added);
    this.unannounced += added;
  }

  finish(outcome) {
    this.text.flush();
    const { output } = outcome;
    if (output !== undefined && output !== null) this.#replace(figures.asText(output));
    this.#showFigures(outcome);
    this.#end("done", this.statusTexts.succeeded);
  }

  // Shows that the run ended without an answer. The text that was streamed stays.
  fail(outcome, { cancelled = false } = {}) {
    this.text.flush();
    this.#showFigures(outcome);
    for (const step of this.steps) {
      if (step.dataset.status === "started") this.#markStep(step, cancelled ? "cancelled" : "failed");
    }
    const status = cancelled ? "cancelled" : "failed";
    this.#end(status, this.statusTexts[status]);
  }

  // `detail`: what the provider said, which the server tells editors only.
  showProblem(text, href = null, detail = null) {
    byId("problem-text").textContent = text;
    byId("problem-detail").textContent = detail?.shown ?? "";
    byId("problem-said").hidden = !detail;
    const link = byId("problem-link");
    link.hidden = !href;
    if (href) link.href = href;
    byId("problem").hidden = false;
    this.follower.goToEnd();
  }

  hideProblem() {
    byId("problem").hidden = true;
    byId("problem-said").hidden = true;
    byId("problem-text").textContent = "";
  }

  #end(status, text) {
    clearInterval(this.timer);
    clearInterval(this.announcing);
    this.#announce();
    this.answer.setAttribute("aria-busy", "false");
    this.#setStatus(status, text);
  }

  #setStatus(status, text) {
    this.status.textContent = text;
    this.status.dataset.status = status;
  }

  #tick() {
    byId("total-time").textContent = figures.duration(performance.now() - this.startedAt);
  }

  #showFigures(outcome) {
    const { shown } = outcome;
    if (!shown) return;
    byId("first-token").textContent = shown.first_token;
    byId("total-time").textContent = shown.total_time;
    byId("tokens").textContent = shown.tokens;
    byId("cost").textContent = shown.cost;
  }

  #markStep(step, status) {
    step.dataset.status = status;
    const words = { started: "running", finished: "done" };
    step.querySelector("[data-step-status]").textContent = words[status] ?? status;
    if (status !== "waiting") return;
    step.querySelector("[data-step-model]").textContent = "";
  }

  #replace(text) {
    if (this.text.replace(text)) this.unannounced = text;
  }

  #announce() {
    if (!this.unannounced) return;
    byId("announcer").textContent = this.unannounced;
    this.unannounced = "";
  }
}
