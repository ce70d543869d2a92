import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { codeOf } from "../../static/chains/snippets.js";

const URL_OF = "https://chains.example.com/chains/joke";
const AWKWARD = { input: { topic: "it's \"$HOME\" `id` \\ \n €", list: [1, null], no: {} }, config: { tags: [] } };

test("a shell hands curl exactly the call that was made", () => {
  const script = `curl() { for last; do :; done; printf %s "$last"; }\n${codeOf("curl", URL_OF, AWKWARD)}`;
  assert.deepEqual(JSON.parse(execFileSync("sh", ["-c", script], { encoding: "utf8" })), AWKWARD);
});

test("JavaScript sends exactly the call that was made", async () => {
  const sent = [];
  const fetch = async (url, { body }) => {
    sent.push([url, JSON.parse(body)]);
    return { ok: true, json: async () => ({ output: "a joke" }) };
  };
  const AsyncFunction = (async () => {}).constructor;
  const shown = [];
  const run = new AsyncFunction("fetch", "console", codeOf("javascript", URL_OF, AWKWARD));
  await run(fetch, { log: (output) => shown.push(output) });
  assert.deepEqual(sent, [[`${URL_OF}/invoke`, AWKWARD]]);
  assert.deepEqual(shown, ["a joke"]);
});

test("Python has its own words for the three constants", () => {
  const call = { input: { yes: true, no: false, none: null } };
  const code = codeOf("langserve", URL_OF, call);
  assert.ok(code.includes('"yes": True,') && code.includes('"no": False,') && code.includes('"none": None,'));
  assert.ok(!code.includes("config="));
});

test("a config is an argument of its own", () => {
  const call = { input: "a", config: { configurable: { heat: 1 } } };
  assert.match(codeOf("langserve", URL_OF, call), /config=\{\n {8}"configurable": \{/);
});

test("the key stands in no snippet", () => {
  for (const name of ["curl", "langserve", "requests", "javascript"]) {
    assert.match(codeOf(name, URL_OF, AWKWARD), /CHAINHUB_API_KEY/);
  }
});
