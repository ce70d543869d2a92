// Tabs according to the ARIA pattern: arrow keys select a tab, and only one tab is in the tab order.

// `onSelect(tab)` may return false to keep the current tab.
export function makeTabs(list, onSelect = () => true) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];

  function select(tab) {
    if (onSelect(tab) === false) return;
    for (const other of tabs) {
      const isSelected = other === tab;
      other.setAttribute("aria-selected", String(isSelected));
      other.tabIndex = isSelected ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !isSelected;
    }
    tab.focus();
  }

  const moves = { ArrowRight: 1, ArrowLeft: -1 };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) select(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(event.target);
    if (at < 0) return;
    if (event.key in moves) select(tabs[(at + moves[event.key] + tabs.length) % tabs.length]);
    else if (event.key === "Home") select(tabs[0]);
    else if (event.key === "End") select(tabs.at(-1));
    else return;
    event.preventDefault();
  });
}
