import assert from "node:assert/strict";
import { test } from "node:test";

import { asText, chunkText, cost, duration, timingsText, tokens, versions } from "../../static/chains/figures.js";

test("a duration is in milliseconds below a second and in seconds above", () => {
  assert.deepEqual([0, 999.4, 1000, 61_234].map(duration), ["0 ms", "999 ms", "1.00 s", "61.23 s"]);
  assert.deepEqual([null, undefined].map(duration), ["–", "–"]);
});

test("a cost is shown exactly, without zeros behind it and without an exponent", () => {
  const costs = ["0.001200", "1.50", "10", "0", 1.5e-7, null];
  assert.deepEqual(costs.map(cost), ["$0.0012", "$1.5", "$10", "$0", "$0.00000015", "unknown"]);
});

test("tokens that are not known are said to be unknown, each for itself", () => {
  assert.equal(tokens(1234, 5), "1,234 in, 5 out");
  assert.equal(tokens(null, 5), "unknown in, 5 out");
  assert.equal(tokens(undefined, null), "unknown");
});

test("timings name what is known", () => {
  assert.equal(timingsText({ first_token_ms: 120, latency_ms: 1500 }), "first token 120 ms · total 1.50 s");
  assert.equal(timingsText({ first_token_ms: null, latency_ms: 7 }), "total 7 ms");
  assert.equal(timingsText(undefined), "");
});

test("what answered is named by version, prompts and models, code by its software", () => {
  const configured = { version: 3, package: "", prompts: { joke: 2 } };
  assert.equal(versions(configured, ["demo/demo-echo"]), "version 3 · joke v2 · demo/demo-echo");
  assert.equal(versions({ version: null, package: "shop 1.2" }, []), "shop 1.2");
  assert.equal(versions({ version: null, package: "" }, []), "–");
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
