"""Reads answers of Anthropic's Messages API.

Wire format: Anthropic API reference, "Messages" and "Streaming messages".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk

from chains.runtime.pricing import Usage
from chains.runtime.providers.collected import Collected, object_in, texts_in
from chains.runtime.providers.finish import finish_word
from chains.runtime.providers.pieces import Piece
from chains.runtime.providers.usage import usage_of_claude

EVENTS = frozenset(
    {"message_start", "message_delta", "message_stop", "ping", "message"}
    | {"content_block_start", "content_block_delta", "content_block_stop"}
)


@dataclass(slots=True)
class Message(Collected):
    metadata: dict[str, Any] = field(default_factory=lambda: {"model_provider": "anthropic"})
    # The counts as they were told last.
    _told: dict[str, Any] = field(default_factory=dict)

    def knows(self, value: Mapping[str, Any]) -> bool:
        kind = value.get("type")
        return kind in EVENTS if isinstance(kind, str) else "content" in value and "role" in value

    def piece(self, value: Mapping[str, Any], *, name: str = "", is_body: bool = False) -> Piece | None:
        kind = value.get("type") if isinstance(value.get("type"), str) else name
        self.began = self.began or self.knows(value) or kind in EVENTS
        if kind == "message_stop":
            self.is_over = True
        message = value.get("message") if kind == "message_start" else value
        delta = object_in(value, "delta")
        word = finish_word(delta.get("stop_reason"))
        text, reasoning = "", ""
        calls: list[ToolCallChunk] = []
        if isinstance(message, dict):
            self._note(message)
            word = word or finish_word(message.get("stop_reason"))
            text, reasoning = texts_in(message.get("content"))
            calls = self._calls(message.get("content"))
        if kind == "content_block_start":
            block = value.get("content_block")
            text, reasoning = texts_in([block])
            calls = self._calls([block], at=value.get("index"))
        elif kind == "content_block_delta":
            text, reasoning = _delta_texts(delta)
            calls = self._arguments(delta.get("partial_json"), at=value.get("index"))
        return self._content(text, reasoning, calls, word=word)

    @property
    def usage(self) -> Usage | None:
        return usage_of_claude(self._told)

    def _note(self, message: Mapping[str, Any]) -> None:
        self._note_words(message, model_name="model", id="id")
        counted = message.get("usage")
        for name, count in counted.items() if isinstance(counted, dict) else ():
            # Some servers tell at the end that nothing was read, after they have told it at the beginning.
            if count or name not in self._told:
                self._told[name] = count

    def _calls(self, content: Any, *, at: Any = None) -> list[ToolCallChunk]:
        blocks = content if isinstance(content, list) else []
        uses = [(i, b) for i, b in enumerate(blocks) if isinstance(b, dict) and b.get("type") == "tool_use"]
        calls = [
            {
                "index": index if at is None else at,
                "id": block.get("id"),
                # The arguments of a block that only begins are an empty object, and come in pieces.
                "function": {"name": block.get("name"), "arguments": block.get("input") or None},
            }
            for index, block in uses
        ]
        return self._tools.pieces({"tool_calls": calls}, is_whole=at is None) if calls else []

    def _arguments(self, arguments: Any, *, at: Any) -> list[ToolCallChunk]:
        if not isinstance(arguments, str) or not arguments:
            return []
        call = {"index": at, "function": {"arguments": arguments}}
        return self._tools.pieces({"tool_calls": [call]}, is_whole=False)


def _delta_texts(delta: Mapping[str, Any]) -> tuple[str, str]:
    text, thinking = delta.get("text"), delta.get("thinking")
    return text if isinstance(text, str) else "", thinking if isinstance(thinking, str) else ""
