import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Follower } from "../../static/chains/follower.js";
import { StreamedText } from "../../static/chains/streamed-text.js";
import { FakeText, holdFrames } from "./browser.mjs";

let element, scroller, text, paint;

beforeEach(() => {
  paint = holdFrames();
  element = new FakeText();
  // 100 px for each letter, of which 200 are in view.
  scroller = {
    scrollTop: 0,
    clientHeight: 200,
    get scrollHeight() {
      return Math.max(200, element.textContent.length * 100);
    },
  };
  text = new StreamedText(element, new Follower(scroller, 40));
});

test("pieces of one frame are painted at once", () => {
  for (const piece of "abc") text.add(piece);
  assert.equal(element.textContent, "");
  assert.equal(paint(), 1);
  text.add("d");
  paint();
  assert.deepEqual([element.textContent, element.writes], ["abcd", 2]);
});

test("a flush paints now, and the frame has nothing left to do", () => {
  text.add("a");
  text.flush();
  assert.equal(element.textContent, "a");
  assert.equal(paint(), 0);
});

test("another text stands in place of what came, painted or not", () => {
  text.add("a");
  paint();
  text.add("b");
  assert.equal(text.replace("whole"), true);
  paint();
  assert.equal(element.textContent, "whole");
});

test("a text that is there already is not written again", () => {
  text.add("ab");
  assert.equal(text.replace("ab"), false);
  assert.deepEqual([element.textContent, element.writes], ["ab", 1]);
});

test("a reader at the end follows the text", () => {
  text.add("abcd");
  paint();
  assert.equal(scroller.scrollTop, 400);
});

test("a reader who scrolled up stays there", () => {
  text.add("abcd");
  paint();
  scroller.scrollTop = 100;
  text.add("e");
  paint();
  text.replace("another text");
  assert.equal(scroller.scrollTop, 100);
});
