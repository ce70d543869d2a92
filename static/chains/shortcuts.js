// Keyboard shortcuts: run, stop, go to the form, show the help.

const isTyping = (element) =>
  element.isContentEditable || element.matches("input, textarea, select");

export function listenForShortcuts({ run, stop, focusForm }) {
  const help = document.getElementById("help");
  document.addEventListener("keydown", (event) => {
    if (help.open || event.isComposing || event.altKey) return;
    const isCommand = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && isCommand) run();
    else if (event.key === "Escape") stop();
    else if (isCommand || isTyping(event.target)) return;
    else if (event.key === "/") focusForm();
    else if (event.key === "?") help.showModal();
    else return;
    event.preventDefault();
  });
  if (/Mac|iPhone|iPad/.test(navigator.platform)) {
    document.querySelector("[data-run-keys]").textContent = "⌘ ↵";
  }
  document.getElementById("shortcut-hint").hidden = false;
}
