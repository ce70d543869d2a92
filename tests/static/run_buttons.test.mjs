import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { RunButtons } from "../../static/chains/run-buttons.js";
import { FakeButton } from "./browser.mjs";

const IDLE = { isRunning: false, isReady: true };
const RUNNING = { isRunning: true, isReady: false };
const AWAY = { isRunning: false, isReady: false };

let page, run, stop, stops;

beforeEach(() => {
  page = { activeElement: null };
  [run, stop] = [new FakeButton(page), new FakeButton(page)];
  stops = 0;
});

const buttons = (off) => new RunButtons({ run, stop, off, onStop: () => (stops += 1) });

test("only one of the two can be used, and none without a connection", () => {
  const shown = buttons("disabled");
  const states = [IDLE, RUNNING, IDLE, AWAY].map((state) => {
    shown.show(state);
    return [!run.disabled, !stop.disabled];
  });
  assert.deepEqual(states, [[true, false], [false, true], [true, false], [false, false]]);
  assert.deepEqual([run.hidden, stop.hidden], [false, false]);
});

test("where the other one is hidden, only one is in sight", () => {
  const shown = buttons("hidden");
  const states = [IDLE, RUNNING, AWAY].map((state) => {
    shown.show(state);
    return [!run.hidden, !stop.hidden];
  });
  assert.deepEqual(states, [[true, false], [false, true], [true, false]]);
  assert.equal(run.disabled, true);
});

test("the focus goes along from one to the other and back", () => {
  for (const off of ["disabled", "hidden"]) {
    const shown = buttons(off);
    shown.show(IDLE);
    run.focus();
    shown.show(RUNNING);
    assert.equal(page.activeElement, stop);
    shown.show(IDLE);
    assert.equal(page.activeElement, run);
  }
});

test("a focus elsewhere stays there", () => {
  const shown = buttons("disabled");
  page.activeElement = "a field";
  shown.show(IDLE);
  shown.show(RUNNING);
  assert.equal(page.activeElement, "a field");
});

test("a click on the second one stops", () => {
  buttons("hidden");
  stop.dispatchEvent(new Event("click"));
  assert.equal(stops, 1);
});
