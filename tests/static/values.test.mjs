import assert from "node:assert/strict";
import { test } from "node:test";

import { Choices } from "../../static/chains/choices.js";
import { bytesIn, bytesThatFit, sizeText } from "../../static/chains/sizes.js";
import { faultText, InvalidValue, readValue, valueText } from "../../static/chains/values.js";

const control = (value, more = {}) => ({ value, min: "", max: "", validity: { badInput: false }, ...more });

function refused(kind, ...given) {
  try {
    readValue(kind, control(...given));
  } catch (error) {
    assert.ok(error instanceof InvalidValue);
    return error.message;
  }
  return assert.fail(`${kind} took ${given[0]}`);
}

test("a field that is left empty has no value, a box has one always", () => {
  for (const kind of ["text", "file", "choice", "integer", "number", "json", "messages"]) {
    assert.equal(readValue(kind, control("")), undefined, kind);
  }
  assert.equal(readValue("boolean", { checked: false }), false);
});

test("numbers are read as numbers", () => {
  assert.equal(readValue("integer", control("1e3")), 1000);
  assert.equal(readValue("number", control("-0.5", { min: "-1", max: "0" })), -0.5);
});

test("a number that is none, not whole, too large or out of bounds is refused", () => {
  assert.equal(refused("number", "", { validity: { badInput: true } }), "Enter a number.");
  assert.equal(refused("number", "1e999"), "Enter a number.");
  assert.equal(refused("integer", "1.5"), "Enter a whole number.");
  assert.match(refused("integer", "9007199254740993"), /too large/);
  assert.equal(refused("integer", "1", { min: "2" }), "Enter 2 or more.");
  assert.equal(refused("integer", "3", { max: "2" }), "Enter 2 or less.");
});

test("JSON that is none is refused with its place", () => {
  assert.deepEqual(readValue("json", control(' {"a": [1]} ')), { a: [1] });
  assert.match(refused("json", "{"), /^Not valid JSON: /);
});

test("a value fills a field as the field would give it back", () => {
  for (const [kind, value] of [["text", "a"], ["integer", 3], ["json", { a: null }], ["messages", []]]) {
    assert.deepEqual(readValue(kind, control(valueText(kind, value))), value);
  }
  assert.deepEqual([undefined, null].map((value) => valueText("json", value)), ["", ""]);
  assert.equal(valueText("json", "a"), '"a"');
});

test("a fault names where it is below the field", () => {
  assert.equal(faultText([], "is short"), "is short");
  assert.equal(faultText(["items", 0], "is short"), "items.0: is short");
});

test("only what differs from the chain's own choice is sent", () => {
  const choices = new Choices([["heat", 0.5], ["tags", ["a"]]]);
  assert.equal(choices.config([["heat", 0.5], ["tags", ["a"]]]), undefined);
  assert.deepEqual(choices.config([["heat", 1], ["tags", ["a"]]]), { configurable: { heat: 1 } });
  assert.deepEqual(choices.config([["model", "m"]]), { configurable: { model: "m" } });
});

test("the size of a file is that of its bytes, not of their base64", () => {
  for (const bytes of [0, 1, 2, 3, 1000]) {
    assert.equal(bytesIn(Buffer.alloc(bytes).toString("base64")), bytes);
  }
});

test("the largest file fits into a frame as base64, with room for the rest", () => {
  const most = bytesThatFit(1024 * 1024);
  assert.ok(Buffer.alloc(most).toString("base64").length <= 1024 * 1024 - 1024);
  assert.equal(sizeText(most), "767 KB");
  assert.deepEqual([1023, 1024, 1024 * 1024 * 1.5].map(sizeText), ["1023 bytes", "1 KB", "1.5 MB"]);
});
