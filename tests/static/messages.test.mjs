import assert from "node:assert/strict";
import { test } from "node:test";

import { roleAfter, rowsOf, textOf } from "../../static/chains/message-text.js";
import { isPairs, messagesOf, pairsOf } from "../../static/chains/pairs.js";

const ROLES = { roles: ["human", "ai"] };
const human = (content) => ({ type: "human", content });
const ai = (content) => ({ type: "ai", content });

test("a text that is a list of messages has rows", () => {
  assert.deepEqual(rowsOf(JSON.stringify([human("a"), ai("b")]), ROLES), [human("a"), ai("b")]);
  assert.deepEqual(rowsOf(" ", ROLES), []);
  assert.deepEqual(rowsOf('"hello"', ROLES), [human("hello")]);
});

test("what rows would lose has none", () => {
  const texts = [
    "{",
    "{}",
    "[null]",
    '[{"type": "human", "content": "a", "id": "1"}]',
    '[{"type": "tool", "content": "a"}]',
    '[{"type": "human", "content": [{"type": "text", "text": "a"}]}]',
    '[["a", "b"]]',
  ];
  for (const text of texts) assert.equal(rowsOf(text, ROLES), null, text);
});

test("pairs are rows where the chain asks for pairs", () => {
  const rows = rowsOf('[["a", "b"]]', { ...ROLES, asPairs: true });
  assert.deepEqual(rows, [human("a"), ai("b")]);
  assert.deepEqual(JSON.parse(textOf(rows, { asPairs: true })), [["a", "b"]]);
});

test("an empty first row is no message where one is offered", () => {
  assert.equal(textOf([human("")], { offersFirst: true }), "");
  assert.deepEqual(JSON.parse(textOf([human("")], {})), [human("")]);
  assert.equal(textOf([], {}), "");
});

test("the sides take turns", () => {
  assert.deepEqual([undefined, "human", "ai", "system"].map(roleAfter), ["human", "ai", "human", "human"]);
});

test("pairs hold a turn each, whoever begins and whoever says nothing", () => {
  assert.deepEqual(pairsOf([human("a"), human("b"), ai("c"), ai("d")]), [["a", ""], ["b", "c"], ["", "d"]]);
  assert.deepEqual(messagesOf([["a", ""], ["", "d"]]), [human("a"), ai("d")]);
});

test("pairs are two texts each", () => {
  assert.deepEqual([[], [["a", "b"]], [["a"]], [["a", 1]], "ab"].map(isPairs), [true, true, false, false, false]);
});
