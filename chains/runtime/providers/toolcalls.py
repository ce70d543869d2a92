"""Puts the pieces of tool calls in order: servers leave indexes and ids out, or give all the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from chains.runtime.providers.tidy import Joined

# More than any answer calls; further calls are dropped.
MAX_TOOL_CALLS = 128


@dataclass(slots=True)
class _Call:
    index: int
    id: str
    name: str
    has_arguments: bool = False
    arguments: Joined = field(default_factory=Joined)


@dataclass(slots=True)
class ToolCalls:
    """Numbers the tool calls of one answer in the order in which they begin."""

    _calls: list[_Call] = field(default_factory=list)
    _by_id: dict[str, _Call] = field(default_factory=dict)
    # The call that was begun last under each index that the server gave.
    _by_given: dict[str, _Call] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def pieces(self, delta: Mapping[str, Any], *, is_whole: bool) -> list[ToolCallChunk]:
        """The pieces of calls in a delta; in a whole message each is a call of its own."""
        given = delta.get("tool_calls")
        calls: list[Any] = [given] if isinstance(given, dict) else given if isinstance(given, list) else []
        if not calls and isinstance(legacy := delta.get("function_call"), dict):
            calls = [{"function": legacy, "index": 0}]
        pieces = (self._piece(call, is_new=is_whole) for call in islice(calls, MAX_TOOL_CALLS))
        return [piece for piece in pieces if piece]

    def rest(self) -> list[ToolCallChunk]:
        """The halves of characters that stayed alone."""
        held = ((call.index, call.arguments.rest()) for call in self._calls)
        return [tool_call_chunk(args=rest, index=index) for index, rest in held if rest]

    def _piece(self, given: Any, *, is_new: bool) -> ToolCallChunk | None:
        function = given.get("function") if isinstance(given, dict) else None
        if function is None and isinstance(given, dict) and ("name" in given or "arguments" in given):
            # Some servers leave the object around the name and the arguments out.
            function = given
        if not isinstance(function, dict):
            return None
        name = function.get("name")
        name = name if isinstance(name, str) else ""
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        call_id = given.get("id")
        call_id = str(call_id) if isinstance(call_id, str | int) else ""
        place = str(given.get("index")) if isinstance(given.get("index"), str | int | float) else ""
        call = None if is_new else self._continued(place, call_id, name, arguments or "")
        begins = call is None
        if call is None:
            if len(self._calls) >= MAX_TOOL_CALLS:
                return None
            call = self._begun(place, call_id, name)
        call.has_arguments = call.has_arguments or bool(arguments)
        return tool_call_chunk(
            # A name that comes again would be added to the first one.
            name=name if name and (begins or not call.name) else None,
            args=call.arguments.add(arguments) if arguments else arguments,
            id=call_id if begins and call_id else None,
            index=call.index,
        )

    def _begun(self, place: str, call_id: str, name: str) -> _Call:
        call = _Call(index=len(self._calls), id=call_id, name=name)
        self._calls.append(call)
        if call_id:
            self._by_id[call_id] = call
        self._by_given[place] = call
        return call

    def _continued(self, place: str, call_id: str, name: str, arguments: str) -> _Call | None:
        """The call that the piece belongs to; ``None`` where it begins one."""
        if call_id and call_id in self._by_id:
            return self._by_id[call_id]
        if not self._calls:
            return None
        known = self._by_given.get(place) if place else self._calls[-1]
        if known is None or not name:
            # Without a name it continues something, even under an id of its own.
            return known
        # A name begins a call, unless it repeats that of a call whose arguments go on.
        goes_on = name == known.name and arguments.strip() and not arguments.lstrip().startswith("{")
        is_its_head = not known.name or (not known.has_arguments and not call_id and name == known.name)
        return known if goes_on or is_its_head else None
