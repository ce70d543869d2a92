"""Puts the pieces of tool calls in order: servers leave their indexes out, or give all the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from chains.runtime.providers.pieces import tokens

# More than any answer calls; further calls are dropped.
MAX_TOOL_CALLS = 128


@dataclass(slots=True)
class ToolCalls:
    """Numbers the tool calls of one answer."""

    _ids: dict[int, str] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self._ids)

    def pieces(self, delta: Mapping[str, Any], *, is_whole: bool) -> list[ToolCallChunk]:
        """The pieces of calls in a delta; in a whole message each is a call of its own."""
        given = delta.get("tool_calls")
        calls = [call for call in given if isinstance(call, dict)] if isinstance(given, list) else []
        if not calls and isinstance(legacy := delta.get("function_call"), dict):
            calls = [{"function": legacy, "index": 0}]
        return [piece for call in calls if (piece := self._piece(call, is_new=is_whole))]

    def _piece(self, call: Mapping[str, Any], *, is_new: bool) -> ToolCallChunk | None:
        function = call.get("function")
        if not isinstance(function, dict):
            return None
        name = function.get("name")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        known_id = call.get("id")
        call_id = str(known_id) if isinstance(known_id, str | int) and known_id != "" else ""
        index = len(self._ids) if is_new else self._index(tokens(call.get("index")), call_id)
        first = index not in self._ids
        if first and len(self._ids) >= MAX_TOOL_CALLS:
            return None
        self._ids.setdefault(index, call_id)
        return tool_call_chunk(
            name=name if isinstance(name, str) and name else None,
            args=arguments,
            id=call_id if first and call_id else None,
            index=index,
        )

    def _index(self, given: int | None, call_id: str) -> int:
        for index, seen in self._ids.items():
            if call_id and seen == call_id:
                return index
        if given is not None and (given not in self._ids or not call_id or not self._ids[given]):
            return given
        if call_id or not self._ids:
            return max(self._ids, default=-1) + 1
        return max(self._ids)
