"""Reads answers, streamed or whole, in any wire format: from bytes, which may end anywhere, to pieces."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chains.runtime import errors
from chains.runtime.errors import Told
from chains.runtime.providers.collected import Collected
from chains.runtime.providers.failures import failure_in, judged, told_in
from chains.runtime.providers.pieces import Piece
from chains.runtime.providers.sse import DONE, EventStream, NotJSON, ServerEvent, values_in

# More than any answer that is kept; the rest of a larger body is not read.
MAX_BODY_BYTES = 8 * 1024 * 1024
# A stream has some 300 bytes for each token.
MAX_STREAM_BYTES = 128 * 1024 * 1024
# How much of what is no answer is read for staff. More than is shown: half a key could not be hidden.
MAX_EXCERPT_BYTES = 4000
BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
# Of JSON, which some gateways put into a text once more, and of a web page.
BODY_BEGINS = (b"{", b"[", b'"', b"<")
# How far a body is searched for the end of its first line.
MAX_LINE_BYTES = 64 * 1024
# What some gateways put an answer into.
ENVELOPES = ("data", "result", "response", "body", "output", "completion")
# An event that is no JSON, and tells of a failure.
FAILURE = re.compile(
    r"error|exception|fail|denied|unauthori|forbidden|exceeded|limit|unavailable|timed? ?out", re.IGNORECASE
)
# The text of a message in a body that was cut off.
CUT_TEXT = re.compile(r'"(?:content|text)"\s*:\s*"((?:[^"\\]++|\\.)*+)', re.DOTALL)
# What a body has that is an answer.
ANSWERED = re.compile(rb'"(?:choices|output|content)"')


@dataclass(slots=True)
class AnswerReader:
    """Reads one answer from its bytes. What the body is decides how it is read, whatever its label says.

    ``answer`` reads its objects. ``fault`` is set where the answer reports a failure; raise it after the
    pieces that came before it. ``lives``: something of the answer has come since this was last set back.
    """

    answer: Collected
    lives: bool = False
    fault: errors.ChainHubError | None = None
    # The last event was read; what follows is of no interest.
    is_over: bool = False
    _has_rubbish: bool = False
    # What may be a failure, or a word between two pieces of the answer.
    _suspect: Told | None = None
    _start: bytes = b""
    _form: Literal["unknown", "events", "body"] = "unknown"
    _may_be_lines: bool = True
    _events: EventStream = field(default_factory=EventStream)
    _body: bytearray = field(default_factory=bytearray)
    _size: int = 0

    @property
    def is_body(self) -> bool:
        return self._form == "body"

    @property
    def may_be_complete(self) -> bool:
        """Whether nothing more may have to come; quick to tell, and wrong for some bodies."""
        if self._form == "body":
            return bytes(self._body[-64:]).rstrip(SPACE).endswith((b"}", b"]"))
        return self.answer.is_complete

    @property
    def may_go_on(self) -> bool:
        """Whether more may follow an answer that looks complete: its finish reason came with content."""
        return self._form != "body" and self.answer.ends_with_content

    @property
    def is_complete(self) -> bool:
        """Whether the answer needs nothing more, though more may follow, such as the usage."""
        if self._form != "body":
            return self.is_over or self.answer.is_complete
        return not isinstance(values_in(bytes(self._body))[-1], NotJSON)

    def add(self, data: bytes) -> list[Piece]:
        """The pieces in these bytes, which may end anywhere."""
        self._size += len(data)
        if self._form == "unknown":
            begin = (bytes(self._body) + data).removeprefix(BOM).lstrip(SPACE)
            if BOM.startswith(begin):
                self._body = bytearray(begin)
                return []
            self._form = "body" if begin.startswith(BODY_BEGINS) else "events"
            data, self._body, self._start = begin, bytearray(), begin[:MAX_EXCERPT_BYTES]
        if self._size > (MAX_BODY_BYTES if self._form == "body" else MAX_STREAM_BYTES):
            self.fault = errors.OutputInvalid("The model's answer is longer than ChainHub keeps.")
            return self.answer.rest()
        if self._form == "events":
            return self._collected(self._events.add(data))
        self._body += data
        return self._lines_in_body()

    def finish(self) -> list[Piece]:
        """The pieces that the end of the body completes; the last one has the answer's end.

        Sets ``fault``: to ProviderCut for an answer that is not complete, to ProviderGarbage for one that is
        none.
        """
        pieces = self._rest()
        if self.fault is not None:
            return pieces
        if self._suspect and not self.answer.is_complete:
            self.fault = judged(self._suspect)
        elif not self.answer.began and (self._has_rubbish or not self.is_over):
            self.fault = self._garbage()
        elif not self.is_over and not self.answer.finish_reason:
            self.fault = errors.ProviderCut()
            self.fault.told = Told(
                message="nothing more: the answer ended without saying that it is complete"
            )
        else:
            return pieces + self.answer.end()
        return pieces + self.answer.rest()

    def broken_off(self) -> list[Piece]:
        """What was held back of an answer whose connection failed."""
        return self.answer.rest()

    @property
    def cut_text(self) -> str:
        """The text in a body that was cut off."""
        body = bytes(self._body).decode(errors="replace")
        found = CUT_TEXT.search(body, max(0, body.find('"choices"')))
        if found is None:
            return ""
        # The last escape may have been cut in two.
        text = re.sub(r"\\(u[0-9a-fA-F]{0,3})?\Z", "", found[1])
        value = values_in(f'"{text}"'.encode())[0]
        return value if isinstance(value, str) else ""

    def _lines_in_body(self) -> list[Piece]:
        """The pieces of what turns out to be lines of JSON, which some servers send as a stream."""
        if not self._may_be_lines or (end := self._body.find(b"\n", 0, MAX_LINE_BYTES)) < 0:
            return []
        first, has_more = values_in(bytes(self._body[:end]))[0], bool(self._body[end:].strip())
        is_object = isinstance(first, dict) and self.answer.knows(first)
        # A line that is an object may be all of the body.
        self._may_be_lines = is_object and not has_more
        if not is_object or not (has_more or _is_part(first)):
            return []
        data, self._body, self._form = bytes(self._body), bytearray(), "events"
        return self._collected(self._events.add(data))

    def _garbage(self) -> errors.ProviderGarbage:
        fault = errors.ProviderGarbage()
        fault.told = Told(message=" ".join(self._start.decode(errors="replace").split()))
        return fault

    def _rest(self) -> list[Piece]:
        if self._form == "body":
            return self._of_body()
        return [] if self.is_over else self._collected(self._events.rest(), damaged=errors.ProviderCut)

    def _collected(
        self, events: Iterable[ServerEvent], damaged: type[errors.ProviderError] = errors.ProviderGarbage
    ) -> list[Piece]:
        """The pieces of the events; ``damaged`` is the fault where one is no JSON."""
        pieces: list[Piece] = []
        was_complete = False
        try:
            for event in events:
                if event.value == DONE:
                    self.is_over = True
                    break
                was_complete = self.answer.is_complete
                if (piece := self._of_event(event, damaged)) is not None:
                    pieces.append(piece)
                if self.fault is not None:
                    break
        except errors.ChainHubError as fault:
            was_complete = self.answer.is_complete
            self.fault = fault
        if self.fault is not None and was_complete:
            # Once the finish reason is read, the answer is complete, whatever breaks after it.
            self.is_over, self.fault = True, None
        return pieces if self.fault is None else pieces + self.answer.rest()

    def _of_event(self, event: ServerEvent, damaged: type[errors.ProviderError]) -> Piece | None:
        value = event.value
        if isinstance(value, NotJSON):
            if value.text.startswith("{"):
                # What it said is lost, so the answer would have a hole.
                raise damaged()
            value = value.text
        return self._of_value(value, name=event.name)

    def _of_body(self) -> list[Piece]:
        first, *others = values_in(bytes(self._body))
        if isinstance(first, NotJSON):
            self.fault = self._garbage()
            if first.text.startswith("{"):
                # Whole as it is: it would be the same again.
                self.fault = errors.ProviderCut()
                self.fault.said = self.cut_text
                self.fault.retryable = ANSWERED.search(self._body) is None
            return []
        piece = self._of_value(first, is_body=not others)
        pieces = [piece] if piece else []
        if others and self.fault is None and isinstance(first, dict) and self.answer.knows(first):
            # Some servers send a stream as lines of JSON.
            pieces += self._collected((ServerEvent(value) for value in others), damaged=errors.ProviderCut)
        else:
            self.is_over = self.answer.began
        return pieces

    def _of_value(self, value: Any, *, name: str = "", is_body: bool = False) -> Piece | None:
        """What a value says; text that stands beside a failure is paid for, and comes before it."""
        value = self._opened(value)
        is_object = isinstance(value, dict)
        piece = self.answer.piece(value, name=name, is_body=is_body) if is_object else None
        is_known = is_object and self.answer.knows(value)
        self._has_rubbish = self._has_rubbish or not is_known
        self.lives = self.lives or is_known
        self.is_over = self.is_over or self.answer.is_over
        told = failure_in(value, name=name, has_answer=is_known, is_one_of_many=not is_body)
        self.fault = judged(told) if told else self.answer.fault
        if self.fault is None and self._form == "events":
            self._suspect = None if is_known else self._suspected(value, name) or self._suspect
        if isinstance(self.fault, errors.ProviderError):
            self.fault.usage = self.answer.usage
        return piece

    def _suspected(self, value: Any, name: str) -> Told | None:
        """What may be a failure: it is one only where the answer does not go on."""
        if isinstance(value, str):
            is_failure = self.answer.began and FAILURE.search(value)
            return told_in(value) if is_failure else None
        return failure_in(value, name=name)

    def _opened(self, value: Any) -> Any:
        """The object of an answer in what a gateway has put it into: a text, a list, another object."""
        if isinstance(value, str) and value.startswith("{"):
            value = values_in(value.encode(errors="replace"))[0]
        inner: list[Any] = []
        if isinstance(value, list):
            inner = value
        elif isinstance(value, dict) and not self.answer.knows(value):
            inner = [value.get(name) for name in ENVELOPES]
        return next((each for each in inner if isinstance(each, dict) and self.answer.knows(each)), value)


def _is_part(value: Mapping[str, Any]) -> bool:
    """Whether the object is a piece of a stream, and no whole answer."""
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and "delta" in first
