import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation } from "../../static/chains/conversation.js";
import { FakeStore } from "./browser.mjs";

const FORM = { messages: "history", question: "question", pairs: false, output: [] };

beforeEach(() => {
  globalThis.sessionStorage = new FakeStore();
});

function conversation(form = {}, user = 1) {
  return new Conversation({ form: { ...FORM, ...form }, user, chain_path: "/chains/talk" });
}

function afterTwoTurns(form) {
  const talk = conversation(form);
  Object.assign(talk.add("one"), { answer: "first", status: "done" });
  talk.add("two");
  return talk;
}

const human = (content) => ({ type: "human", content });
const EARLIER = [human("one"), { type: "ai", content: "first" }];

test("the question stands beside the messages before it", () => {
  assert.deepEqual(afterTwoTurns().input(), { history: EARLIER, question: "two" });
});

test("where messages are all there is, the question is the last of them", () => {
  assert.deepEqual(afterTwoTurns({ question: null }).input(), { history: [...EARLIER, human("two")] });
  assert.deepEqual(afterTwoTurns({ messages: null }).input(), [...EARLIER, human("two")]);
});

test("a history of pairs has one for each turn", () => {
  assert.deepEqual(afterTwoTurns({ pairs: true }).input().history, [["one", "first"]]);
});

test("a field may have any name", () => {
  const input = afterTwoTurns({ messages: "__proto__" }).input();
  assert.deepEqual(Object.keys(input), ["__proto__", "question"]);
});

test("a turn that failed or has no answer is no part of the history", () => {
  const talk = conversation();
  Object.assign(talk.add("one"), { answer: "half", status: "failed" });
  Object.assign(talk.add("two"), { answer: "", status: "done" });
  Object.assign(talk.add("three"), { answer: "stopped", status: "cancelled" });
  talk.add("four");
  assert.deepEqual(talk.input().history, [human("three"), { type: "ai", content: "stopped" }]);
});

test("the answer is where the chain puts it, and the last of several messages", () => {
  const talk = conversation({ output: ["answer"] });
  assert.equal(talk.addedBy({ answer: "a" }), "a");
  assert.equal(talk.addedBy({ other: "a" }), "");
  assert.equal(talk.answerOf({ answer: [human("q"), { type: "ai", content: "a" }] }), "a");
  assert.equal(talk.answerOf({}), "");
});

test("a conversation is kept for the same user, and an answer under way is marked as left", () => {
  const talk = afterTwoTurns();
  talk.keep();
  assert.deepEqual(
    conversation().turns.map(({ status }) => status),
    ["done", "failed"],
  );
  assert.deepEqual(conversation({}, 2).turns, []);
});

test("a store that is broken or full loses nothing of the page", () => {
  sessionStorage.setItem("conversation /chains/talk", "{");
  const talk = conversation();
  sessionStorage.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  talk.add("one");
  talk.keep();
  assert.equal(talk.last.question, "one");
});
