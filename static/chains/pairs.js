// Conversations in the form of LangServe's examples: [question, answer] for each turn.

export function messagesOf(pairs) {
  return pairs
    .flatMap(([human, ai]) => [
      { type: "human", content: human },
      { type: "ai", content: ai },
    ])
    .filter(({ content }) => content !== "");
}

export function pairsOf(messages) {
  const pairs = [];
  for (const { type, content } of messages) {
    const last = pairs.at(-1);
    if (type === "human") pairs.push([content, ""]);
    else if (last && last[1] === "") last[1] = content;
    else pairs.push(["", content]);
  }
  return pairs;
}

export function isPairs(value) {
  const isPair = (pair) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string");
  return Array.isArray(value) && value.every(isPair);
}
