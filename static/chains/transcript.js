// Shows the turns of a conversation. Text only, never HTML.

import { Thumbs } from "./feedback.js";
import { timingsText } from "./figures.js";
import { Follower } from "./follower.js";
import { StreamedText } from "./streamed-text.js";

const STATES = { running: "Writing…", cancelled: "Stopped", failed: "Failed" };
// The page scrolls with the answer if its end is at most this far away.
const NEAR_END_PX = 160;

export const reader = new Follower(document.documentElement, NEAR_END_PX);

export class TurnView {
  #judged;

  // `onAgain()` asks the question again. `onGiven({ score, comment })` is called with stored feedback.
  constructor(turn, { feedbackPath, runPath, onAgain, onGiven }) {
    this.turn = turn;
    this.runPath = runPath;
    const template = document.getElementById("turn");
    this.element = template.content.cloneNode(true).firstElementChild;
    this.slots = {};
    for (const slot of this.element.querySelectorAll("[data-slot]")) this.slots[slot.dataset.slot] = slot;
    const thumbs = this.element.querySelector("[data-thumbs]");
    this.thumbs = thumbs && new Thumbs(thumbs, feedbackPath, onGiven);
    this.answer = new StreamedText(this.slots.answer, reader);
    this.slots.question.textContent = turn.question;
    this.slots.again.addEventListener("click", onAgain);
    this.render({ isLast: false });
  }

  add(text) {
    this.answer.add(text);
  }

  // Shows the turn's state. `add` shows the text of an answer that is still streaming.
  render({ isLast }) {
    const { status, answer, problem, runId, given } = this.turn;
    const { slots } = this;
    const isRunning = status === "running";
    if (!isRunning) this.answer.replace(answer);
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
    slots.figures.textContent = timingsText(this.turn.figures);
    this.#showThumbs({ runId: status === "done" ? runId : null, given });
  }

  // Only once for each answer: the user may be writing a comment.
  #showThumbs({ runId, given }) {
    if (runId === this.#judged) return;
    this.#judged = runId;
    if (runId) this.thumbs?.show(runId, given);
    else this.thumbs?.hide();
  }
}
