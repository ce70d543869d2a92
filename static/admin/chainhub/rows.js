// Rows of a form: add, remove with undo, reorder, and choose the kind of a new one. Without this file
// the blank rows, the numbers, the check boxes and another look at the page do the same.

const ORDER = "input[name$='-ORDER']";
const DELETE = "input[name$='-DELETE']";
const TYPED = "input:not([type='hidden'], [type='checkbox']), select, textarea";

class Rows {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("[data-list]");
    this.blanks = [...root.querySelectorAll("[data-blank]")];
    // For each row its cells of the kinds that it has been: what was typed comes back with them.
    this.bodies = new WeakMap();
    this.status = root.querySelector("[data-status]");
    this.total = root.querySelector("input[name$='-TOTAL_FORMS']");
    this.noun = root.dataset.noun;
    root.addEventListener("click", (event) => this.click(event));
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("change", (event) => this.change(event));
    this.number();
  }

  get all() {
    return [...this.list.children];
  }

  get live() {
    return this.all.filter((row) => !row.matches(".row-spare, .row-removed"));
  }

  click(event) {
    const button = event.target.closest("button");
    const row = button?.closest("[data-row]");
    if (!button) return;
    if ("add" in button.dataset) this.add();
    else if ("move" in button.dataset) this.move(row, Number(button.dataset.move), button);
    else if ("remove" in button.dataset) this.remove(row, true);
    else if ("undo" in button.dataset) this.remove(row, false);
  }

  key(event) {
    const steps = { ArrowUp: -1, ArrowDown: 1 };
    const row = event.target.closest("[data-row]");
    if (!row || !event.altKey || event.ctrlKey || event.metaKey || !(event.key in steps)) return;
    event.preventDefault();
    this.move(row, steps[event.key], event.target);
  }

  change(event) {
    const select = event.target;
    if (select.closest("[data-kind]")) this.become(select.closest("[data-row]"), select);
  }

  add() {
    const index = Number(this.total.value);
    const row = this.made(this.blanks[0], index);
    this.list.append(row);
    this.total.value = String(index + 1);
    this.number();
    this.say(`${this.noun} ${this.live.length} added`);
    this.typed(row)?.focus();
  }

  made(blank, index) {
    const holder = document.createElement("template");
    holder.innerHTML = blank.innerHTML.replaceAll("__prefix__", String(index));
    return holder.content.firstElementChild;
  }

  // The row gets the cells of the kind that is chosen; what stands in cells of the same name is kept.
  become(row, select) {
    const before = row.querySelector("[data-body]");
    const bodies = this.bodies.get(row) ?? new Map([[before.dataset.body, before]]);
    this.bodies.set(row, bodies);
    if (!bodies.has(select.value)) {
      const blank = this.blanks.find((one) => one.dataset.blank === select.value);
      const [, index] = select.name.match(/-(\d+)-\w+$/);
      bodies.set(select.value, this.made(blank, index).querySelector("[data-body]"));
    }
    const after = bodies.get(select.value);
    for (const field of after.querySelectorAll(TYPED)) {
      const same = [...before.querySelectorAll(TYPED)].find((one) => one.name === field.name);
      if (same) field.value = same.value;
    }
    before.replaceWith(after);
    this.say(`This ${this.noun} is now: ${select.selectedOptions[0].text}`);
  }

  move(row, step, focus) {
    const live = this.live;
    const other = live[live.indexOf(row) + step];
    if (!other) return;
    // An element that is moved loses the focus, so the neighbour is what moves.
    if (step < 0) row.after(other);
    else row.before(other);
    this.number();
    this.say(`Moved to place ${this.live.indexOf(row) + 1} of ${live.length}`);
    const back = focus.disabled ? row.querySelector("[data-move]:not(:disabled)") : focus;
    back?.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  remove(row, removed) {
    row.querySelector(DELETE).checked = removed;
    row.classList.toggle("row-removed", removed);
    this.number();
    this.say(removed ? `${this.noun} removed` : `${this.noun} is back`);
    row.querySelector(removed ? "[data-undo]" : "[data-remove]").focus();
  }

  typed(row) {
    return [...row.querySelectorAll(TYPED)].find((field) => field.checkVisibility() && !field.matches(ORDER));
  }

  number() {
    this.all.forEach((row, index) => {
      row.querySelector(ORDER).value = String(index + 1);
    });
    const live = this.live;
    live.forEach((row, index) => {
      const name = `${this.noun.charAt(0).toUpperCase()}${this.noun.slice(1)} ${index + 1}`;
      row.querySelector("[data-title]").textContent = name;
      row.setAttribute("aria-label", name);
      row.querySelector("[data-move='-1']").disabled = index === 0;
      row.querySelector("[data-move='1']").disabled = index === live.length - 1;
    });
    this.root.classList.toggle("rows-none", live.length === 0);
  }

  say(text) {
    this.status.textContent = text;
  }
}

for (const root of document.querySelectorAll("[data-rows]")) new Rows(root);
