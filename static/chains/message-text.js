// A list of chat messages as JSON in a text, and as rows of role and text.

import { isPairs, messagesOf, pairsOf } from "./pairs.js";

// The rows that a text stands for; null for one that is no list of such messages.
export function rowsOf(text, { asPairs, roles }) {
  if (text.trim() === "") return [];
  try {
    const value = listOf(JSON.parse(text), asPairs);
    const isList = Array.isArray(value) && value.every((message) => isRow(message, roles));
    return isList ? value : null;
  } catch {
    return null;
  }
}

// A chat model takes a text as well: it is what the human said.
function listOf(value, asPairs) {
  if (typeof value === "string") return [{ type: "human", content: value }];
  return asPairs && isPairs(value) ? messagesOf(value) : value;
}

// Anything beyond role and text would be lost in the rows.
function isRow(value, roles) {
  if (value === null || typeof value !== "object") return false;
  const names = Object.keys(value).sort().join();
  return names === "content,type" && roles.includes(value.type) && typeof value.content === "string";
}

// The text of rows. `offersFirst`: a single row without a text is no message.
export function textOf(rows, { asPairs, offersFirst }) {
  if (offersFirst && rows.length === 1 && !rows[0].content) return "";
  return rows.length ? JSON.stringify(asPairs ? pairsOf(rows) : rows, null, 2) : "";
}

// In a conversation the two sides take turns.
export function roleAfter(last) {
  return last === "human" ? "ai" : "human";
}
