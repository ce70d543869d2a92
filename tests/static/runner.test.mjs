import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Runner } from "../../static/chains/runner.js";
import { waitBeforeTry } from "../../static/chains/socket.js";
import { FakeSocket, holdTime, openPage } from "./browser.mjs";

const CONFIG = {
  socket_path: "/ws/chains/joke/",
  max_frame_bytes: 2048,
  run_path: "/runs/ID/",
  run_path_id: "ID",
};
const CALL = { input: { topic: "cats" } };
const NAMES = ["started", "step", "chunk", "finished", "failed", "refused", "complained", "lost", "back", "state"];

let heard, runner, states, tick;

beforeEach(() => {
  tick = holdTime();
  openPage();
  globalThis.fetch = async () => ({ type: "basic", status: 200 });
  heard = [];
  states = [];
  const handlers = Object.fromEntries(NAMES.map((name) => [name, (...said) => heard.push([name, ...said])]));
  const changed = () => states.push([runner.isRunning, runner.isReady]);
  runner = new Runner(CONFIG, { ...handlers, changed });
  runner.connect();
});

function connected() {
  FakeSocket.last.open();
  heard.length = states.length = 0;
}

function started(id = "r1") {
  runner.start(CALL, () => {});
  FakeSocket.last.receive({ type: "started", run_id: id });
}

const namesHeard = () => heard.map(([name]) => name);
// What follows a lost connection is not all done in one turn of the event loop.
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("the socket is at the page's host, encrypted as the page is", () => {
  assert.equal(FakeSocket.last.url, "wss://chains.example.com/ws/chains/joke/");
});

test("a run is asked for once, and its messages are handed on until it ends", () => {
  connected();
  started();
  assert.deepEqual(FakeSocket.last.sent, [{ type: "start", ...CALL }]);
  for (const type of ["step", "chunk", "unheard-of", "finished", "chunk"]) FakeSocket.last.receive({ type });
  assert.deepEqual(namesHeard(), ["started", "step", "chunk", "finished"]);
});

test("the buttons hear of each change: connected, running, ended", () => {
  FakeSocket.last.open();
  started();
  FakeSocket.last.receive({ type: "failed", status: "failed" });
  const [idle, running] = [[false, true], [true, false]];
  assert.deepEqual(states, [[false, false], idle, running, idle]);
});

test("an input that does not fit into a frame is not sent", () => {
  connected();
  const problem = runner.start({ input: "€".repeat(700) }, () => assert.fail("It did begin."));
  assert.match(problem, /over 2 KB/);
  assert.deepEqual([FakeSocket.last.sent, runner.isRunning], [[], false]);
});

test("a stop before the run has its id is sent as soon as it has", () => {
  connected();
  runner.start(CALL, () => {});
  runner.stop();
  assert.equal(FakeSocket.last.sent.length, 1);
  FakeSocket.last.receive({ type: "started", run_id: "r1" });
  assert.deepEqual(FakeSocket.last.sent.at(-1), { type: "cancel" });
});

test("an error in place of a run refuses it, one during a run is about something else", () => {
  connected();
  runner.start(CALL, () => {});
  FakeSocket.last.receive({ type: "error", message: "no" });
  assert.deepEqual([namesHeard(), runner.isReady], [["refused"], true]);
  started();
  FakeSocket.last.receive({ type: "error", message: "what?" });
  assert.deepEqual([namesHeard().at(-1), runner.isRunning], ["complained", true]);
});

test("a lost connection ends the run, and says which one when it is back", async () => {
  connected();
  started("r7");
  FakeSocket.last.lose();
  assert.deepEqual(heard.slice(1), [["lost", "r7", "reconnecting"], ["state", "reconnecting"]]);
  await settled();
  tick(1000);
  FakeSocket.last.open();
  assert.equal(FakeSocket.all.length, 2);
  assert.deepEqual(heard.slice(-2), [["back", "r7"], ["state", "connected"]]);
});

test("a session that ended is not tried again", async () => {
  connected();
  FakeSocket.last.lose(4401);
  await settled();
  tick(60_000);
  assert.deepEqual(heard, [["state", "signed-out"]]);
  assert.equal(FakeSocket.all.length, 1);
});

test("a refused handshake is asked about at the page's own address", async () => {
  globalThis.fetch = async () => ({ type: "opaqueredirect", status: 0 });
  FakeSocket.last.lose();
  await settled();
  assert.deepEqual(heard.at(-1), ["state", "signed-out"]);
});

test("a connection that answers no ping is given up", () => {
  connected();
  tick(20_000);
  assert.deepEqual(FakeSocket.last.sent, [{ type: "ping" }]);
  tick(10_000);
  assert.deepEqual(heard.at(-1), ["state", "reconnecting"]);
});

test("each try waits up to twice as long, between half a second and ten", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6].map((failures) => waitBeforeTry(failures, () => 1));
  assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  assert.equal(waitBeforeTry(6, () => 0), 500);
});

test("the page of a run is at its id, whatever that is", () => {
  assert.equal(runner.runPath("a/b"), "/runs/a%2Fb/");
});
