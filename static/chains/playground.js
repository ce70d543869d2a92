// The playground: a form, a socket and a view, and which of them acts when.

import { InputForm } from "./form.js";
import { RunHistory } from "./history.js";
import { listenForShortcuts } from "./shortcuts.js";
import { Snippets } from "./snippets.js";
import { ChainSocket } from "./socket.js";
import { makeTabs } from "./tabs.js";
import { RunView } from "./view.js";

const config = JSON.parse(document.getElementById("playground-config").textContent);
const panel = document.getElementById("input-panel");
const connection = document.getElementById("connection");

const form = new InputForm(panel, { choices: config.choices });
const view = new RunView();
const runs = new RunHistory(config.history_path);
const snippets = new Snippets(document.getElementById("snippets"), config.chain_path);

// The run that is going on: { id, isStopped }. One at a time.
let current = null;
// What a lost connection left behind, until it is back: the id of its run, or "" if it had none yet.
let lostRun = null;

const runPath = (id) => config.run_path.replace(config.run_path_id, encodeURIComponent(id));

const HANDLERS = {
  started(message) {
    if (!current) return;
    current.id = message.run_id;
    if (current.isStopped) socket.send({ type: "cancel" });
    view.showVersions(message.version, message.prompts);
  },
  step(message) {
    if (current) view.showStep(message);
  },
  chunk(message) {
    if (current) view.addChunk(message.value);
  },
  finished(message) {
    if (!current) return;
    current = null;
    view.finish(message);
    runs.refresh();
  },
  failed(message) {
    if (!current) return;
    current = null;
    const cancelled = message.status === "cancelled";
    view.fail(message, { cancelled });
    const rest = form.showErrors(message.errors ?? []);
    const text = [message.message, ...rest].filter(Boolean).join("\n");
    if (!cancelled) view.showProblem(text || "The run failed.", runPath(message.run_id));
    runs.refresh();
  },
  error(message) {
    const rest = form.showErrors(message.errors ?? []);
    const text = [message.message, ...rest].filter(Boolean).join("\n");
    // A refused start; once a run has an id, an error frame is about another frame.
    if (current && !current.id) {
      current = null;
      view.fail({});
    }
    view.showProblem(text || "The server refused this.");
  },
};

const CONNECTION_TEXTS = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  "signed-out": "Signed out: ",
  refused: "This chain is not available to you any more.",
};

function onState(state) {
  connection.dataset.state = state;
  connection.textContent = CONNECTION_TEXTS[state];
  if (state === "signed-out") {
    const link = document.createElement("a");
    link.href = config.sign_in_path;
    link.textContent = "sign in again";
    connection.append(link);
  }
  if (state !== "connected" && current) connectionLost(state);
  if (state === "connected" && lostRun !== null) connectionBack();
  if (!current) view.runButton.disabled = state !== "connected";
}

function connectionLost(state) {
  lostRun = current.id ?? "";
  current = null;
  view.fail({});
  if (state === "signed-out") view.showProblem("You were signed out. Sign in again to run the chain.");
  else view.showProblem("The connection was lost while this run was going.");
}

function connectionBack() {
  if (lostRun) {
    view.showProblem(
      "The connection was lost during this run. What was recorded of it is on its own page.",
      runPath(lostRun),
    );
  } else {
    view.showProblem("The connection was lost before the run began. Run it again.");
  }
  lostRun = null;
  runs.refresh();
}

const socket = new ChainSocket(config.socket_path, {
  onState,
  onMessage: (message) => Object.hasOwn(HANDLERS, message.type) && HANDLERS[message.type](message),
});

function run() {
  if (current || !socket.isOpen) return;
  const { input, invalid } = form.read();
  if (invalid) return;
  const frame = JSON.stringify({ type: "start", input });
  if (new TextEncoder().encode(frame).length > config.max_frame_bytes) {
    const kilobytes = Math.floor(config.max_frame_bytes / 1024);
    view.showProblem(`This input is over ${kilobytes} KB, too long for this page. Use the API for it.`);
    return;
  }
  current = { id: null, isStopped: false };
  lostRun = null;
  view.begin();
  socket.send(frame);
}

function stop() {
  if (!current) return;
  // A run that has not said its id yet is stopped as soon as it does.
  if (current.id) socket.send({ type: "cancel" });
  else current.isStopped = true;
}

// A page that is reloaded gets its old field values back from some browsers after this script ran.
const showSnippets = () => snippets.show(form.draft() ?? {});

panel.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
panel.addEventListener("input", showSnippets);
panel.addEventListener("change", showSnippets);
window.addEventListener("pageshow", showSnippets);
view.stopButton.addEventListener("click", stop);
listenForShortcuts({ run, stop, focusForm: () => form.focusFirst() });

const inputTabs = document.getElementById("input-tabs");
inputTabs.hidden = false;
form.formView.setAttribute("role", "tabpanel");
form.formView.setAttribute("aria-labelledby", "tab-form");
makeTabs(inputTabs, (tab) => (tab.id === "tab-json" ? form.showAsJSON() : form.showAsForm()));
makeTabs(document.querySelector("#snippets [role=tablist]"));

showSnippets();
socket.connect();
