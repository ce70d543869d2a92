// A conversation with a chain: stores its turns for this tab, and builds a run's input from them.

import { asText, chunkText } from "./figures.js";
import { pairsOf } from "./pairs.js";

// A turn: { question, answer, status, runId, problem, figures, given }; `status` is running, done,
// cancelled or failed.
export class Conversation {
  #key;
  #user;
  #form;

  // `form` is the server's ChatForm: the names under which the input has the messages and the question, and
  // the path of the answer in the output.
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
      // The storage is full. The conversation is lost when the user leaves the page.
    }
  }

  // Returns the stored turns of this user. Another user may have signed in in the same tab.
  #stored() {
    try {
      const { user, turns } = JSON.parse(sessionStorage.getItem(this.#key)) ?? {};
      if (user !== this.#user || !Array.isArray(turns)) return [];
      return turns.map((turn) => (turn.status === "running" ? { ...turn, ...LEFT } : turn));
    } catch {
      return [];
    }
  }

  // Returns the input of a run that answers the last turn.
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

  // Returns the text that a chunk adds to the answer; "" if it adds none.
  addedBy(chunk) {
    const value = this.#answerIn(chunk);
    return value === undefined ? "" : (chunkText(value) ?? "");
  }

  // Returns the answer's text. If the output has several messages, the last one is the answer.
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

// A turn without an answer is left out: the chain would see two questions in a row.
function asMessages({ question, answer, status }) {
  if (status === "failed" || !answer) return [];
  return [
    { type: "human", content: question },
    { type: "ai", content: answer },
  ];
}
