// Converts a list of chat messages between JSON text and rows of role and text.

import { isPairs, messagesOf, pairsOf } from "./pairs.js";

// Returns the rows of a JSON text; null if it is no list of messages that rows can show.
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

// Chat models also accept a text; it is a message of the human.
function listOf(value, asPairs) {
  if (typeof value === "string") return [{ type: "human", content: value }];
  return asPairs && isPairs(value) ? messagesOf(value) : value;
}

// A message with more than role and text cannot be a row: the rest would be lost.
function isRow(value, roles) {
  if (value === null || typeof value !== "object") return false;
  const names = Object.keys(value).sort().join();
  return names === "content,type" && roles.includes(value.type) && typeof value.content === "string";
}

// Returns the JSON text of rows. With `offersFirst`, a single row without a text is no message.
export function textOf(rows, { asPairs, offersFirst }) {
  if (offersFirst && rows.length === 1 && !rows[0].content) return "";
  return rows.length ? JSON.stringify(asPairs ? pairsOf(rows) : rows, null, 2) : "";
}

// The role of a new row: in a conversation, human and AI alternate.
export function roleAfter(last) {
  return last === "human" ? "ai" : "human";
}
