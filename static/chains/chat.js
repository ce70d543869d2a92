// The page of a conversation: a transcript, a composer, and one run for each turn.

import { Configuration } from "./configuration.js";
import { backText, lostText, showConnection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { RunButtons } from "./run-buttons.js";
import { Runner } from "./runner.js";
import { reader, TurnView } from "./transcript.js";
import { faultText } from "./values.js";

const config = JSON.parse(document.getElementById("playground-config").textContent);
const byId = (id) => document.getElementById(id);
const [list, composer, question] = ["turns", "composer", "question"].map(byId);
const [empty, announcer, composerError] = ["chat-empty", "announcer", "composer-error"].map(byId);
const startOver = byId("start-over");

const conversation = new Conversation(config);
const configuration = new Configuration(config);
const buttons = new RunButtons({
  run: byId("send"),
  stop: byId("stop"),
  off: "hidden",
  onStop: () => runner.stop(),
});
// A turn → its TurnView, in the order of the conversation.
const views = new Map();

const runner = new Runner(config, {
  started({ run_id: runId }) {
    conversation.last.runId = runId;
  },
  chunk({ value }) {
    const text = conversation.addedBy(value);
    conversation.last.answer += text;
    views.get(conversation.last).add(text);
  },
  finished({ output, shown }) {
    const answer = conversation.answerOf(output) || conversation.last.answer;
    ended({ status: "done", answer, figures: shown });
    announcer.textContent = answer;
  },
  failed({ status, message, errors, shown, detail }) {
    const cancelled = status === "cancelled";
    ended({
      status: cancelled ? "cancelled" : "failed",
      problem: cancelled ? undefined : problemOf(message, errors, detail),
      figures: shown,
    });
  },
  refused: ({ message, errors }) => ended({ status: "failed", problem: problemOf(message, errors) }),
  complained: ({ message }) => say(message),
  lost: (id, state) => ended({ status: "failed", problem: lostText(state) }),
  back(id) {
    if (conversation.last) ended({ problem: backText(id) });
  },
  state: (state) => showConnection(state, config.sign_in_path),
  changed: showControls,
});

// `detail`: what the provider said, which the server tells editors only.
function problemOf(message, errors = [], detail = null) {
  const rest = configuration.showErrors(errors).map(({ loc = [], msg }) => faultText(loc, msg));
  if (detail) rest.push(`The provider said: ${detail.shown}`);
  return [message, ...rest].filter(Boolean).join("\n") || "The run failed.";
}

function ended(change) {
  Object.assign(conversation.last, change);
  conversation.keep();
  reader.following(renderLast);
}

function send() {
  const text = question.value.trim();
  if (!text || !runner.isReady) return;
  ask(() => conversation.add(text));
  if (conversation.last?.question === text) question.value = "";
}

// Asks the last question again. The new answer replaces the old answer or error.
function again() {
  if (!runner.isReady) return;
  ask(() => {
    const { question: text } = conversation.turns.pop();
    return conversation.add(text);
  });
  question.focus();
}

// `change()` adds the turn that the chain is to answer. It is undone if the input cannot be sent.
function ask(change) {
  const { config: chosen, invalid } = configuration.read();
  if (invalid) return;
  const before = [...conversation.turns];
  change();
  const problem = runner.start({ input: conversation.input(), config: chosen }, () => {
    announcer.textContent = "";
    showTurns();
    reader.goToEnd();
  });
  if (problem) conversation.turns = before;
  conversation.keep();
  say(problem);
}

function say(problem) {
  composerError.textContent = problem;
}

function showTurns() {
  for (const [turn, view] of views) {
    if (conversation.turns.includes(turn)) continue;
    view.element.remove();
    views.delete(turn);
  }
  for (const turn of conversation.turns) {
    if (!views.has(turn)) views.set(turn, newView(turn));
    views.get(turn).render({ isLast: turn === conversation.last });
  }
  empty.hidden = conversation.turns.length > 0;
}

function newView(turn) {
  const view = new TurnView(turn, {
    feedbackPath: config.feedback_path,
    runPath: (id) => runner.runPath(id),
    onAgain: again,
    onGiven(given) {
      turn.given = given;
      conversation.keep();
    },
  });
  list.append(view.element);
  return view;
}

function renderLast() {
  views.get(conversation.last)?.render({ isLast: true });
}

function showControls() {
  buttons.show(runner);
  startOver.disabled = runner.isRunning || conversation.turns.length === 0;
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
question.addEventListener("input", () => say(""));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && runner.isRunning) runner.stop();
});
startOver.addEventListener("click", () => {
  conversation.clear();
  showTurns();
  showControls();
  question.focus();
});

showTurns();
if (conversation.last) reader.goToEnd();
runner.connect();
