"""Reads answers of ``/responses``.

Wire format: OpenAI API reference, "The Response object" and "Streaming events".
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk

from chains.runtime.providers.collected import Collected, Said, object_in, texts_in
from chains.runtime.providers.failures import judged, told_in
from chains.runtime.providers.finish import finish_word
from chains.runtime.providers.pieces import Piece

# Events with a piece of a text, and those with the whole text of a part; ``True`` for reasoning.
DELTAS = {
    "response.output_text.delta": False,
    "response.refusal.delta": False,
    "response.reasoning_text.delta": True,
    "response.reasoning_summary_text.delta": True,
}
WHOLES = {
    "response.output_text.done": ("text", False),
    "response.refusal.done": ("refusal", False),
    "response.reasoning_text.done": ("text", True),
    "response.reasoning_summary_text.done": ("text", True),
}
ENDS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
Place = tuple[Any, Any]
"""Where a part of the answer stands: the index of its item, and its own index in that item."""


@dataclass(slots=True)
class Response(Collected):
    metadata: dict[str, Any] = field(default_factory=lambda: {"model_provider": "openai"})
    # What came in pieces comes again as a whole, up to three times.
    _said: defaultdict[Place, Said] = field(default_factory=lambda: defaultdict(Said))
    _thought: defaultdict[Place, Said] = field(default_factory=lambda: defaultdict(Said))
    # The items that are calls of tools, and those of them whose arguments were read.
    _begun: set[Any] = field(default_factory=set)
    _argued: set[Any] = field(default_factory=set)

    def knows(self, value: Mapping[str, Any]) -> bool:
        kind = value.get("type")
        is_event = isinstance(kind, str) and kind.startswith("response.")
        return is_event or value.get("object") == "response" or isinstance(value.get("output"), list)

    def piece(self, value: Mapping[str, Any], *, name: str = "", is_body: bool = False) -> Piece | None:
        kind = value.get("type") if isinstance(value.get("type"), str) else name
        self.began = self.began or self.knows(value) or str(kind).startswith("response.")
        at = value.get("output_index", 0)
        if kind in DELTAS:
            return self._delta(value, is_reasoning=DELTAS[kind])
        if kind in WHOLES:
            field_name, is_reasoning = WHOLES[kind]
            text = value.get(field_name)
            return self._whole(_place(value), text if isinstance(text, str) else "", is_reasoning)
        if kind in ("response.output_item.added", "response.output_item.done"):
            return self._content(*self._item(at, value.get("item")))
        if kind == "response.function_call_arguments.delta":
            return self._content("", "", self._arguments(at, value.get("delta")))
        response = object_in(value, "response")
        if self.knows(value) and not str(kind).startswith("response."):
            response = value
        return self._response(response, ENDS.get(str(kind), ""))

    def _delta(self, value: Mapping[str, Any], *, is_reasoning: bool) -> Piece | None:
        text = value.get("delta")
        if not isinstance(text, str):
            return None
        (self._thought if is_reasoning else self._said)[_place(value)].add(text)
        return self._content("" if is_reasoning else text, text if is_reasoning else "")

    def _whole(self, place: Place, text: str, is_reasoning: bool) -> Piece | None:
        new = (self._thought if is_reasoning else self._said)[place].new_in(text)
        return self._content("" if is_reasoning else new, new if is_reasoning else "")

    def _response(self, response: Mapping[str, Any], end: str) -> Piece | None:
        """What a response says: as a body, or in the events that begin and end a stream."""
        if isinstance(counted := response.get("usage"), dict):
            self._counts.note(counted)
        self._note_words(response, model_name="model", service_tier="service_tier", id="id")
        output = response.get("output")
        text, reasoning = "", ""
        calls: list[ToolCallChunk] = []
        for at, item in enumerate(output if isinstance(output, list) else ()):
            more_text, more_reasoning, more_calls = self._item(at, item)
            text, reasoning, calls = text + more_text, reasoning + more_reasoning, [*calls, *more_calls]
        status = finish_word(response.get("status")) or end
        if status == "failed":
            self.fault = judged(told_in({"error": response.get("error") or "The response failed."}))
        word = self._word(response, status)
        self.is_over = self.is_over or bool(end)
        return self._content(text, reasoning, calls, word=word)

    def _word(self, response: Mapping[str, Any], status: str) -> str:
        """Why the response ended, "" where it did not or has failed."""
        if status in ("", "in_progress", "queued", "failed"):
            return ""
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return finish_word(reason) or status

    def _item(self, at: Any, item: Any) -> tuple[str, str, list[ToolCallChunk]]:
        """What an item adds: its text, its reasoning, its call of a tool."""
        if not isinstance(item, dict):
            return "", "", []
        if item.get("type") == "function_call":
            return "", "", self._call(at, item)
        is_reasoning = item.get("type") == "reasoning"
        known = self._thought if is_reasoning else self._said
        said = [known[at, index].new_in(text) for index, text in enumerate(_parts(item))]
        return ("", "".join(said), []) if is_reasoning else ("".join(said), "", [])

    def _call(self, at: Any, item: Mapping[str, Any]) -> list[ToolCallChunk]:
        arguments = item.get("arguments") if at not in self._argued else None
        if at in self._begun and not arguments:
            return []
        function = {"name": item.get("name") if at not in self._begun else None, "arguments": arguments}
        self._begun.add(at)
        if arguments:
            self._argued.add(at)
        call_id = item.get("call_id") or item.get("id")
        return self._tools.pieces(
            {"tool_calls": [{"index": at, "id": call_id, "function": function}]}, is_whole=False
        )

    def _arguments(self, at: Any, arguments: Any) -> list[ToolCallChunk]:
        if not isinstance(arguments, str) or not arguments:
            return []
        self._argued.add(at)
        call = {"index": at, "function": {"arguments": arguments}}
        return self._tools.pieces({"tool_calls": [call]}, is_whole=False)


def _place(value: Mapping[str, Any]) -> Place:
    index = value.get("content_index", value.get("summary_index", 0))
    return _plain(value.get("output_index", 0)), _plain(index)


def _plain(index: Any) -> Any:
    return index if isinstance(index, int | str) else 0


def _parts(item: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a message or of reasoning, which servers send as a list or as one text."""
    content = item.get("content") or item.get("summary") or ()
    for part in content if isinstance(content, list | tuple) else [content]:
        text, reasoning = texts_in(part)
        yield text or reasoning
