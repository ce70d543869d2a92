// A conversation with a chain: its turns, kept for this tab, and the inputs they become.

import { asText, chunkText } from "./figures.js";
import { pairsOf } from "./pairs.js";

// A turn: { question, answer, status, runId, problem, figures, given }; `status` is running, done,
// cancelled or failed.
export class Conversation {
  #key;
  #user;
  #form;

  // `form` is the server's ChatForm: where messages, question and answer have their places.
  constructor({ form, user, chain_path: path }) {
    this.#key = `conversation ${path}`;
    this.#user = user;
    this.#form = form;
    this.turns = this.#stored();
  }

  get last() {
    return this.turns.at(-1);
  }

  add(question) {
    this.turns.push({ question, answer: "", status: "running" });
    return this.last;
  }

  clear() {
    this.turns = [];
    this.keep();
  }

  keep() {
    try {
      const text = JSON.stringify({ user: this.#user, turns: this.turns });
      sessionStorage.setItem(this.#key, text);
    } catch {
      // Without room the conversation lives as long as its page.
    }
  }

  // Somebody else may have signed in in the same tab.
  #stored() {
    try {
      const { user, turns } = JSON.parse(sessionStorage.getItem(this.#key)) ?? {};
      if (user !== this.#user || !Array.isArray(turns)) return [];
      return turns.map((turn) => (turn.status === "running" ? { ...turn, ...LEFT } : turn));
    } catch {
      return [];
    }
  }

  // The input that asks for the answer of the last turn.
  input() {
    const { messages, question, pairs } = this.#form;
    const earlier = this.turns.slice(0, -1).flatMap(asMessages);
    const asked = { type: "human", content: this.last.question };
    if (messages === null) return [...earlier, asked];
    if (question === null) return Object.fromEntries([[messages, [...earlier, asked]]]);
    const history = pairs ? pairsOf(earlier) : earlier;
    return Object.fromEntries([
      [messages, history],
      [question, this.last.question],
    ]);
  }

  // The text that a chunk adds; "" for one that has none.
  addedBy(chunk) {
    const value = this.#answerIn(chunk);
    return value === undefined ? "" : (chunkText(value) ?? "");
  }

  // Of several messages the last one answers.
  answerOf(output) {
    const value = this.#answerIn(output);
    const last = Array.isArray(value) ? value.at(-1) : value;
    return chunkText(last) ? asText(last) : asText(value);
  }

  #answerIn(output) {
    let value = output;
    for (const name of this.#form.output) value = value?.[name];
    return value;
  }
}

const LEFT = { status: "failed", problem: "The page was left while this answer came." };

// A turn without an answer would make the chain see two questions in a row.
function asMessages({ question, answer, status }) {
  if (status === "failed" || !answer) return [];
  return [
    { type: "human", content: question },
    { type: "ai", content: answer },
  ];
}
