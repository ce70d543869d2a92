import assert from "node:assert/strict";
import { test } from "node:test";

import { asText, chunkText, duration, timingsText } from "../../static/chains/figures.js";

test("a duration is in milliseconds below a second and in seconds above", () => {
  assert.deepEqual([0, 999.4, 1000, 61_234].map(duration), ["0 ms", "999 ms", "1.00 s", "61.23 s"]);
});

test("timings name what is known", () => {
  const shown = { first_token: "120 ms", total_time: "1.50 s", tokens: "unknown", cost: "unknown" };
  assert.equal(timingsText(shown), "first token 120 ms · total 1.50 s");
  assert.equal(timingsText({ first_token: "–", total_time: "7 ms" }), "total 7 ms");
  assert.equal(timingsText(undefined), "");
});

test("a message reads as the text of its content, other data as JSON", () => {
  assert.equal(asText({ type: "ai", content: ["a", { type: "text", text: "b" }, { type: "image" }] }), "ab");
  assert.equal(asText({ a: 1 }), '{\n  "a": 1\n}');
  assert.equal(asText(null), "");
  assert.equal(asText(0), "0");
});

test("a chunk has a text, none yet, or is data", () => {
  const calling = { type: "AIMessageChunk", content: "", tool_calls: [{}] };
  assert.deepEqual(["a", calling, { a: 1 }, 7].map(chunkText), ["a", "", null, null]);
});
