// A list of chat messages as rows of role and text, kept as JSON in the textarea it stands in for.

import { isPairs, messagesOf, pairsOf } from "./pairs.js";

export class MessageList {
  // `offersFirst`: an empty list shows a row to write in, which is no message until it has a text.
  constructor(element, textarea, { asPairs, offersFirst }) {
    this.element = element;
    this.textarea = textarea;
    this.asPairs = asPairs;
    this.offersFirst = offersFirst;
    this.rows = element.querySelector("[data-message-rows]");
    this.template = element.querySelector("template");
    element.addEventListener("input", () => this.#store());
    element.addEventListener("click", (event) => this.#clicked(event.target));
    this.show();
  }

  get firstControl() {
    if (this.element.hidden) return null;
    return this.element.querySelector("[data-text]") ?? this.#addButton;
  }

  get #addButton() {
    return this.element.querySelector("[data-add-message]");
  }

  // Rows for what the textarea holds; text that is no list of messages is left to the textarea.
  show() {
    const messages = this.#parsed();
    this.element.hidden = messages === null;
    this.textarea.hidden = messages !== null;
    if (messages === null) return;
    this.rows.replaceChildren();
    for (const message of messages) this.#add(message);
    if (this.offersFirst && !messages.length) this.#add({});
  }

  #parsed() {
    if (this.textarea.value.trim() === "") return [];
    try {
      const value = this.#messages(JSON.parse(this.textarea.value));
      const isList = Array.isArray(value) && value.every(this.#isMessage, this);
      return isList ? value : null;
    } catch {
      return null;
    }
  }

  // A chat model takes a text as well: it is what the human said.
  #messages(value) {
    if (typeof value === "string") return [{ type: "human", content: value }];
    return this.asPairs && isPairs(value) ? messagesOf(value) : value;
  }

  // Anything beyond role and text would be lost in the rows.
  #isMessage(value) {
    if (value === null || typeof value !== "object") return false;
    const roles = [...this.template.content.querySelectorAll("option")].map((o) => o.value);
    const names = Object.keys(value).sort().join();
    return names === "content,type" && roles.includes(value.type) && typeof value.content === "string";
  }

  #add({ type, content }) {
    const row = this.template.content.cloneNode(true).firstElementChild;
    if (type) row.querySelector("[data-role]").value = type;
    row.querySelector("[data-text]").value = content ?? "";
    this.rows.append(row);
    return row;
  }

  #clicked(target) {
    const remove = target.closest("[data-remove-message]");
    if (remove) {
      const row = remove.closest("li");
      const neighbour = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (neighbour?.querySelector("[data-text]") ?? this.#addButton).focus();
    } else if (target.closest("[data-add-message]")) {
      this.#add({ type: this.#nextRole() }).querySelector("[data-text]").focus();
    } else return;
    this.#store();
    this.textarea.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // In a conversation the two sides take turns.
  #nextRole() {
    const last = this.rows.lastElementChild?.querySelector("[data-role]").value;
    return last === "human" ? "ai" : "human";
  }

  #store() {
    let messages = [...this.rows.children].map((row) => ({
      type: row.querySelector("[data-role]").value,
      content: row.querySelector("[data-text]").value,
    }));
    if (this.offersFirst && messages.length === 1 && !messages[0].content) messages = [];
    const value = this.asPairs ? pairsOf(messages) : messages;
    this.textarea.value = messages.length ? JSON.stringify(value, null, 2) : "";
  }
}
