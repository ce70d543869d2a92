// The turns of a conversation on the page. Text only, never HTML.

import { Thumbs } from "./feedback.js";
import * as figures from "./figures.js";

const STATES = { running: "Writing…", cancelled: "Stopped", failed: "Failed" };
// Distance from the end within which the page follows the answer.
const NEAR_END_PX = 160;

export class TurnView {
  #pending = "";
  #frame = null;
  #judged;

  // `onAgain()` asks for the answer again, `onGiven` hears of feedback.
  constructor(turn, { feedbackPath, runPath, onAgain, onGiven }) {
    this.turn = turn;
    this.runPath = runPath;
    const template = document.getElementById("turn");
    this.element = template.content.cloneNode(true).firstElementChild;
    this.slots = {};
    for (const slot of this.element.querySelectorAll("[data-slot]")) this.slots[slot.dataset.slot] = slot;
    const thumbs = this.element.querySelector("[data-thumbs]");
    this.thumbs = thumbs && new Thumbs(thumbs, feedbackPath, onGiven);
    this.slots.question.textContent = turn.question;
    this.slots.again.addEventListener("click", onAgain);
    this.render({ isLast: false });
  }

  // All but the text of an answer that is being written.
  render({ isLast }) {
    const { status, answer, problem, runId, given } = this.turn;
    const { slots } = this;
    const isRunning = status === "running";
    if (!isRunning) this.#replace(answer);
    slots.state.hidden = status === "done";
    slots.state.dataset.status = status;
    slots.state.textContent = STATES[status] ?? "";
    slots.problem.hidden = !problem;
    slots.problem.textContent = problem ?? "";
    slots.foot.hidden = isRunning;
    slots.again.hidden = !isLast || isRunning;
    slots.again.textContent = status === "done" ? "Regenerate" : "Try again";
    slots.run.hidden = !runId;
    if (runId) slots.run.href = this.runPath(runId);
    slots.figures.textContent = figuresText(this.turn);
    this.#showThumbs({ runId: status === "done" ? runId : null, given });
  }

  // Once for each answer: somebody may be writing a comment.
  #showThumbs({ runId, given }) {
    if (runId === this.#judged) return;
    this.#judged = runId;
    if (runId) this.thumbs?.show(runId, given);
    else this.thumbs?.hide();
  }

  // One paint per frame, however many tokens came.
  add(text) {
    this.#pending += text;
    this.#frame ??= requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#frame = null;
    following(() => this.slots.answer.append(this.#pending));
    this.#pending = "";
  }

  #replace(text) {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#frame = null;
    this.#pending = "";
    if (this.slots.answer.textContent !== text) this.slots.answer.textContent = text;
  }
}

function figuresText({ figures: known }) {
  if (!known) return "";
  const { first_token_ms: first, latency_ms: total } = known;
  const parts = [];
  if (first !== null && first !== undefined) parts.push(`first token ${figures.duration(first)}`);
  if (total !== undefined) parts.push(`total ${figures.duration(total)}`);
  return parts.join(" · ");
}

// Follow the growing page only while its end is in view: a reader who scrolled up stays there.
export function following(change) {
  const page = document.documentElement;
  const isAtEnd = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_END_PX;
  change();
  if (isAtEnd) goToEnd();
}

export function goToEnd() {
  document.documentElement.scrollTop = document.documentElement.scrollHeight;
}
