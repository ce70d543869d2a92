// Shows the state of the connection on the page.

const TEXTS = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  "signed-out": "Signed out: ",
  refused: "This chain is not available to you any more.",
  "too-many": "You have too many of these pages open. Close some, then reload this one.",
};

export function showConnection(state, signInPath) {
  const element = document.getElementById("connection");
  element.dataset.state = state;
  element.textContent = TEXTS[state];
  if (state !== "signed-out") return;
  const link = document.createElement("a");
  link.href = signInPath;
  link.textContent = "sign in again";
  element.append(link);
}

// The texts for a run whose end this page did not receive: while the connection is lost, and when it is back.
export function lostText(state) {
  if (state === "signed-out") return "You were signed out. Sign in again to run the chain.";
  return "The connection was lost while this run was going.";
}

export function backText(runId) {
  if (!runId) return "The connection was lost before the run began. Run it again.";
  return "The connection was lost during this run. What was recorded of it is on its own page.";
}
