"""Reads server-sent events with JSON data. Source: HTML Living Standard, "Interpreting an event stream"."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from chains.runtime.errors import ProviderGarbage

MAX_EVENT_BYTES = 4 * 1024 * 1024
DONE: Final = "[DONE]"
"""OpenAI's last event; its data is no JSON."""

# Texts may contain raw line breaks: some servers do not escape them.
decoder = json.JSONDecoder(strict=False)


class NotJSON(ValueError):
    """``text`` is what stands where JSON belongs."""

    def __init__(self, text: str):
        super().__init__("not JSON")
        self.text = text


def decoded(data: bytes) -> Any:
    """The JSON value of UTF-8 bytes; bytes that are not UTF-8 become U+FFFD. Raises NotJSON."""
    text = data.decode(errors="replace").strip("\ufeff \t\r\n")
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError):
        raise NotJSON(text) from None


@dataclass(slots=True)
class EventLines:
    """The lines of an event stream, from bytes as they come. Lines end with LF, CR or both."""

    _rest: list[bytes] = field(default_factory=list)
    _rest_size: int = 0
    _skips_line_feed: bool = False

    def add(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends; raises ProviderGarbage for an endless one."""
        if self._skips_line_feed and data:
            # A CR at the end of what came before was a line end; this LF belongs to it.
            self._skips_line_feed = False
            data = data.removeprefix(b"\n")
        if not data:
            return []
        lines = data.splitlines()
        last_is_complete = data.endswith((b"\n", b"\r"))
        self._skips_line_feed = data.endswith(b"\r")
        if self._rest and (last_is_complete or len(lines) > 1):
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest, self._rest_size = [], 0
        if not last_is_complete:
            self._keep(lines.pop())
        return lines

    def _keep(self, part: bytes) -> None:
        self._rest.append(part)
        self._rest_size += len(part)
        if self._rest_size > MAX_EVENT_BYTES:
            raise ProviderGarbage()

    def rest(self) -> list[bytes]:
        """The last line, where nothing ended it."""
        rest, self._rest = self._rest, []
        return [b"".join(rest)] if rest else []


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """``value`` is the JSON value of the data, DONE, or NotJSON; ``name`` is the ``event`` field."""

    value: Any
    name: str = ""


@dataclass(slots=True)
class EventStream:
    """Events from bytes as they come.

    Differs from the standard in two ways, because servers do: an event that no empty line closes counts too,
    and a line of data that is an event in itself does not wait for the next line.
    """

    _lines: EventLines = field(default_factory=EventLines)
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0

    def add(self, data: bytes) -> Iterator[ServerEvent]:
        for line in self._lines.add(data):
            yield from self._line(line)

    def rest(self) -> Iterator[ServerEvent]:
        """The events that the end of the stream completes."""
        for line in (*self._lines.rest(), b""):
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[ServerEvent]:
        if not line:
            if self._data:
                yield ServerEvent(_value(b"\n".join(self._data)), self._name)
            self._name, self._data, self._size = "", [], 0
        elif line.startswith(b"data:"):
            yield from self._data_line(line[5:])
        elif line.startswith(b"event:"):
            self._name = line[6:].decode(errors="replace").strip()

    def _data_line(self, data: bytes) -> Iterator[ServerEvent]:
        if not self._data and _may_be_whole(data) and not isinstance(value := _value(data), NotJSON):
            yield ServerEvent(value, self._name)
            return
        self._data.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            raise ProviderGarbage()


def _may_be_whole(data: bytes) -> bool:
    data = data.strip()
    return data == b"[DONE]" or (data.startswith(b"{") and data.endswith(b"}"))


def _value(data: bytes) -> Any:
    try:
        return decoded(data)
    except NotJSON as error:
        return DONE if error.text == DONE else error
