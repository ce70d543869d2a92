"""Reads answers to requests for chat completions: from bytes, which may end anywhere, to pieces."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from chains.runtime import errors
from chains.runtime.errors import Told
from chains.runtime.providers.completions import Chat
from chains.runtime.providers.failures import failure_in, judged
from chains.runtime.providers.pieces import Piece
from chains.runtime.providers.sse import DONE, EventStream, NotJSON, ServerEvent, values_in
from chains.runtime.providers.tidy import Tidy

# More than any answer that is kept; the rest of a larger body is not read.
MAX_BODY_BYTES = 8 * 1024 * 1024
# A stream has some 300 bytes for each token.
MAX_STREAM_BYTES = 128 * 1024 * 1024
# How much of what is no answer is read for staff. More than is shown: half a key could not be hidden.
MAX_EXCERPT_BYTES = 4000
BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
# The text of a message in a body that was cut off.
CUT_TEXT = re.compile(r'"(?:content|text)"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)


@dataclass(slots=True)
class AnswerReader:
    """Reads one answer from its bytes. What the body is decides how it is read, whatever its label says.

    ``fault`` is set where the answer reports a failure; raise it after the pieces that came before it.
    """

    splits_thinking: bool = False
    fault: errors.ChainHubError | None = None
    # The last event was read; what follows is of no interest.
    is_over: bool = False
    _has_rubbish: bool = False
    _start: bytes = b""
    _form: Literal["unknown", "events", "body"] = "unknown"
    _events: EventStream = field(default_factory=EventStream)
    _body: bytearray = field(default_factory=bytearray)
    _size: int = 0
    _chat: Chat = field(init=False)

    def __post_init__(self) -> None:
        self._chat = Chat(Tidy(self.splits_thinking))

    @property
    def may_be_complete(self) -> bool:
        """Whether nothing more may have to come; quick to tell, and wrong for some bodies."""
        if self._form == "body":
            return bytes(self._body[-64:]).rstrip(SPACE).endswith((b"}", b"]"))
        return bool(self._chat.finish_reason)

    @property
    def is_complete(self) -> bool:
        """Whether the answer needs nothing more, though more may follow, such as the usage."""
        if self._form != "body":
            return self.is_over or bool(self._chat.finish_reason)
        return not isinstance(values_in(bytes(self._body))[-1], NotJSON)

    def add(self, data: bytes) -> list[Piece]:
        """The pieces in these bytes, which may end anywhere."""
        self._size += len(data)
        if self._form == "unknown":
            begin = (bytes(self._body) + data).removeprefix(BOM).lstrip(SPACE)
            if BOM.startswith(begin):
                self._body = bytearray(begin)
                return []
            self._form = "body" if begin[:1] in (b"{", b"[", b"<") else "events"
            data, self._body, self._start = begin, bytearray(), begin[:MAX_EXCERPT_BYTES]
        if self._size > (MAX_BODY_BYTES if self._form == "body" else MAX_STREAM_BYTES):
            self.fault = errors.OutputInvalid("The model's answer is longer than ChainHub keeps.")
            return self._chat.rest()
        if self._form == "events":
            return self._collected(self._events.add(data))
        self._body += data
        return []

    def finish(self) -> list[Piece]:
        """The pieces that the end of the body completes; the last one has the answer's end.

        Sets ``fault``: to ProviderCut for an answer that is not complete, to ProviderGarbage for one that is
        none.
        """
        pieces = self._rest()
        if self.fault is not None:
            return pieces
        if not self._chat.began and (self._has_rubbish or not self.is_over):
            self.fault = self._garbage()
        elif not self.is_over and not self._chat.finish_reason:
            self.fault = errors.ProviderCut()
        else:
            return pieces + self._chat.end()
        return pieces + self._chat.rest()

    def broken_off(self) -> list[Piece]:
        """What was held back of an answer whose connection failed."""
        return self._chat.rest()

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
                was_complete = bool(self._chat.finish_reason)
                if (piece := self._of_event(event, damaged)) is not None:
                    pieces.append(piece)
                if self.fault is not None:
                    break
        except errors.ChainHubError as fault:
            was_complete = bool(self._chat.finish_reason)
            self.fault = fault
        if self.fault is not None and was_complete:
            # Once the finish reason is read, the answer is complete, whatever breaks after it.
            self.is_over, self.fault = True, None
        return pieces if self.fault is None else pieces + self._chat.rest()

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
                self.fault = errors.ProviderCut()
                self.fault.said = self.cut_text
            return []
        piece = self._of_value(first, is_body=not others)
        pieces = [piece] if piece else []
        if others and self.fault is None and isinstance(first, dict) and "choices" in first:
            # Some servers send a stream as lines of JSON.
            pieces += self._collected((ServerEvent(value) for value in others), damaged=errors.ProviderCut)
        else:
            self.is_over = self._chat.began
        return pieces

    def _of_value(self, value: Any, *, name: str = "", is_body: bool = False) -> Piece | None:
        """What a value says; text that stands beside a failure is paid for, and comes before it."""
        piece = self._chat.piece(value, is_body=is_body) if isinstance(value, dict) else None
        self._has_rubbish = self._has_rubbish or not isinstance(value, dict) or "choices" not in value
        told = failure_in(value, name=name)
        self.fault = judged(told) if told else self._chat.fault
        return piece
