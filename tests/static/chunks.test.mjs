import assert from "node:assert/strict";
import { test } from "node:test";

import { Chunks } from "../../static/chains/chunks.js";

test("texts and messages are added to what came before", () => {
  const chunks = new Chunks();
  assert.deepEqual(chunks.add("a"), { added: "a" });
  assert.deepEqual(chunks.add({ type: "AIMessageChunk", content: "b" }), { added: "b" });
});

test("a list grows by its new items", () => {
  const chunks = new Chunks();
  chunks.add([1]);
  assert.deepEqual(chunks.add([2]), { whole: "[\n  1,\n  2\n]" });
});

test("an object stands in place of the one before", () => {
  const chunks = new Chunks();
  chunks.add({ a: 1 });
  assert.deepEqual(chunks.add({ a: 1, b: 2 }), { whole: '{\n  "a": 1,\n  "b": 2\n}' });
});

test("chunks are empty until the first one, whatever it says", () => {
  const chunks = new Chunks();
  assert.equal(chunks.isEmpty, true);
  chunks.add("");
  assert.equal(chunks.isEmpty, false);
});
