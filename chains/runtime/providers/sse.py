"""Reads server-sent events with JSON data. Source: HTML Living Standard, "Interpreting an event stream"."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from chains.runtime.errors import ProviderGarbage

MAX_EVENT_BYTES = 4 * 1024 * 1024
DONE: Final = "[DONE]"
"""OpenAI's last event; its data is no JSON."""
# Python refuses to read longer integers, and nothing that is counted here needs as many digits.
MAX_DIGITS = 18


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= MAX_DIGITS else 0


# Texts may contain raw line breaks: some servers do not escape them.
decoder = json.JSONDecoder(strict=False)
_patient = json.JSONDecoder(strict=False, parse_int=_integer)
# What may stand between two values in one line: some servers join events.
BETWEEN = re.compile(r"[\s\0]*(data:)?[\s\0]*")


class NotJSON(ValueError):
    """``text`` is what stands where JSON belongs."""

    def __init__(self, text: str):
        super().__init__("not JSON")
        self.text = text


def decoded(data: bytes) -> Any:
    """The JSON value of UTF-8 bytes, whatever follows it; raises NotJSON."""
    value, *_ = values_in(data)
    if isinstance(value, NotJSON):
        raise value
    return value


def values_in(data: bytes) -> list[Any]:
    """The JSON values that stand one after another, at least one; what is no JSON becomes NotJSON, the last.

    Bytes that are not UTF-8 become lone surrogates, because they may be parts of a character. ``[DONE]`` is a
    value too.
    """
    text = data.decode(errors="surrogateescape").strip("\ufeff \t\r\n\0")
    try:
        return [decoder.decode(text)]
    except (ValueError, RecursionError):
        return list(_values(text)) or [NotJSON(text)]


def _values(text: str) -> Iterator[Any]:
    at = 0
    while at < len(text):
        if text.startswith(DONE, at):
            yield DONE
            return
        try:
            value, at = _patient.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield NotJSON(text[at:])
            return
        yield value
        if between := BETWEEN.match(text, at):
            at = between.end()


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
    """``value`` is a JSON value of the data, DONE, or NotJSON; ``name`` is the ``event`` field."""

    value: Any
    name: str = ""


@dataclass(slots=True)
class EventStream:
    """Events from bytes as they come.

    Differs from the standard in what servers do: an event that no empty line closes counts too; a line of
    data that is an event in itself does not wait for the next line, so a name may follow it; lines of JSON
    without a field name are data.
    """

    _lines: EventLines = field(default_factory=EventLines)
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    # The value of a line that was an event in itself, until the empty line after it.
    _last: Any = None
    _is_bare: bool = False

    def add(self, data: bytes) -> Iterator[ServerEvent]:
        for line in self._lines.add(data):
            yield from self._line(line)

    def rest(self) -> Iterator[ServerEvent]:
        """The events that the end of the stream completes."""
        for line in (*self._lines.rest(), b""):
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[ServerEvent]:
        if not line:
            yield from self._end_of_event()
            self._name, self._last, self._is_bare = "", None, False
        elif line.startswith(b"data:"):
            yield from self._data_line(line[5:])
        elif line.startswith(b"event:"):
            self._name = line[6:].decode(errors="replace").strip()
            if self._last is not None and "choices" not in self._last:
                yield ServerEvent(self._last, self._name)
        elif self._is_bare or line.startswith(b"{"):
            self._is_bare = self._is_bare or not self._data
            yield from self._data_line(line)

    def _data_line(self, data: bytes) -> Iterator[ServerEvent]:
        is_begun = bool(self._data) and self._data[0].lstrip().startswith(b"{")
        if not is_begun and _may_be_whole(data):
            values = values_in(data)
            if not isinstance(values[-1], NotJSON):
                yield from self._end_of_event()
                self._last = values[-1] if isinstance(values[-1], dict) else None
                for value in values:
                    yield ServerEvent(value, self._name)
                return
        self._data.append(data)
        self._size += len(data) + 1
        if self._size > MAX_EVENT_BYTES:
            raise ProviderGarbage()

    def _end_of_event(self) -> Iterator[ServerEvent]:
        data, self._data, self._size = self._data, [], 0
        for value in values_in(b"\n".join(data)) if data else ():
            yield ServerEvent(value, self._name)


def _may_be_whole(data: bytes) -> bool:
    data = data.strip()
    return data.startswith((b"{", b"[DONE]")) and data.endswith((b"}", b"]"))
