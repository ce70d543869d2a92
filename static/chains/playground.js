// The page of the playground: connects the form, the run and the view.

import { Configuration } from "./configuration.js";
import { backText, lostText, showConnection } from "./connection.js";
import { Thumbs } from "./feedback.js";
import { InputForm } from "./form.js";
import { RunHistory } from "./history.js";
import { RunButtons } from "./run-buttons.js";
import { Runner } from "./runner.js";
import { listenForShortcuts } from "./shortcuts.js";
import { Snippets } from "./snippets.js";
import { makeTabs } from "./tabs.js";
import { RunView } from "./view.js";

const config = JSON.parse(document.getElementById("playground-config").textContent);
const panel = document.getElementById("input-panel");

const form = new InputForm(panel, { choices: config.choices, maxBytes: config.max_frame_bytes });
const configuration = new Configuration(config);
const view = new RunView(config.status_texts);
const stop = () => runner.stop();
const buttons = new RunButtons({
  run: document.getElementById("run"),
  stop: document.getElementById("stop"),
  off: "disabled",
  onStop: stop,
});
const runs = new RunHistory(config.history_path);
const snippets = new Snippets(document.getElementById("snippets"), config.chain_path);
const thumbsElement = document.querySelector("[data-thumbs]");
const thumbs = thumbsElement && new Thumbs(thumbsElement, config.feedback_path);

const runner = new Runner(config, {
  started: (message) => view.showVersions(message),
  step: (message) => view.showStep(message),
  chunk: (message) => view.addChunk(message.value),
  finished(message) {
    view.finish(message);
    thumbs?.show(message.run_id);
    runs.refresh();
  },
  failed(message) {
    const cancelled = message.status === "cancelled";
    view.fail(message, { cancelled });
    const text = problemOf(message);
    const path = runner.runPath(message.run_id);
    if (!cancelled) view.showProblem(text || "The run failed.", path, message.detail);
    runs.refresh();
  },
  refused(message) {
    view.fail({});
    view.showProblem(problemOf(message) || "The server refused this.");
  },
  complained: (message) => view.showProblem(message.message || "The server refused this."),
  lost(id, state) {
    view.fail({});
    view.showProblem(lostText(state));
  },
  back(id) {
    view.showProblem(backText(id), id ? runner.runPath(id) : null);
    runs.refresh();
  },
  state: (state) => showConnection(state, config.sign_in_path),
  changed: () => buttons.show(runner),
});

// Shows errors at their fields, and returns a text with the message and the errors without a field.
function problemOf({ message, errors = [] }) {
  // If the input has a field of this name, the errors belong to that field.
  const rest = form.hasField("configurable") ? errors : configuration.showErrors(errors);
  return [message, ...form.showErrors(rest)].filter(Boolean).join("\n");
}

function run() {
  if (!runner.isReady) return;
  const { config: chosen, invalid: isConfigInvalid } = configuration.read();
  const { input, invalid } = form.read();
  if (invalid || isConfigInvalid) return;
  const problem = runner.start({ input, config: chosen }, () => {
    thumbs?.hide();
    view.begin();
  });
  if (problem) view.showProblem(problem);
}

function showSnippets() {
  const chosen = configuration.draft();
  snippets.show({ input: form.sketch() ?? {}, ...(chosen && { config: chosen }) });
}

panel.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
panel.addEventListener("input", showSnippets);
panel.addEventListener("change", showSnippets);
// After a reload, some browsers restore the old values of fields after this script has run.
window.addEventListener("pageshow", () => {
  configuration.showChanges();
  showSnippets();
});
listenForShortcuts({ run, stop, focusForm: () => form.focusFirst() });

const inputTabs = document.getElementById("input-tabs");
inputTabs.hidden = false;
form.formView.setAttribute("role", "tabpanel");
form.formView.setAttribute("aria-labelledby", "tab-form");
makeTabs(inputTabs, (tab) => (tab.id === "tab-json" ? form.showAsJSON() : form.showAsForm()));
makeTabs(document.querySelector("#snippets [role=tablist]"));

showSnippets();
runner.connect();
