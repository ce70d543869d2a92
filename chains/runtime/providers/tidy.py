"""Puts the texts of an answer right as they come: characters that were cut in two, and think blocks."""

from dataclasses import dataclass, field
from typing import Literal

OPENING, CLOSING = "<think>", "</think>"


@dataclass(slots=True)
class Joined:
    """Joins surrogates: some gateways cut an emoji between the two halves of its UTF-16 form."""

    _high: str = ""

    def add(self, text: str) -> str:
        """The text as far as its last character is complete."""
        if text.isascii() and not self._high:
            return text
        text, self._high = self._high + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._high = text[:-1], text[-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            # A half that has no other half stays: whoever stores or sends it replaces it.
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return text

    def rest(self) -> str:
        high, self._high = self._high, ""
        return high


@dataclass(slots=True)
class ThinkBlock:
    """Splits a ``<think>`` block at the beginning of an answer from the text after it."""

    _state: Literal["start", "thinking", "after", "answer"] = "start"
    # Text that may be a part of a tag, or white space before one.
    _held: str = ""

    def add(self, text: str) -> tuple[str, str]:
        """The reasoning and the answer in this text; what may belong to a tag is held back."""
        if self._state == "answer":
            return "", text
        text, self._held = self._held + text, ""
        reasoning = ""
        if self._state == "start":
            begins = text.lstrip()
            if OPENING.startswith(begins) and begins != OPENING:
                self._held = text
                return "", ""
            if not begins.startswith(OPENING):
                self._state = "answer"
                return "", text
            self._state, text = "thinking", begins[len(OPENING) :]
        if self._state == "thinking":
            reasoning, closing, text = text.partition(CLOSING)
            if not closing:
                reasoning, self._held = _without_part_of(CLOSING, reasoning)
                return reasoning, ""
            self._state = "after"
        # The line breaks between the block and the answer belong to neither.
        if text := text.lstrip():
            self._state = "answer"
        return reasoning, text

    def rest(self) -> tuple[str, str]:
        """What was held back until the end of the answer."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)


def _without_part_of(tag: str, text: str) -> tuple[str, str]:
    """The text without the beginning of the tag at its end, and that beginning."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:]):
            return text[:-length], text[-length:]
    return text, ""


@dataclass(slots=True)
class Tidy:
    """Both, for one answer. ``splits_thinking``: whether a think block is kept apart from the text."""

    splits_thinking: bool
    _text: Joined = field(default_factory=Joined)
    _reasoning: Joined = field(default_factory=Joined)
    _block: ThinkBlock = field(default_factory=ThinkBlock)

    def add(self, text: str, reasoning: str = "") -> tuple[str, str]:
        """The text and the reasoning that are complete now."""
        text = self._text.add(text) if text else ""
        reasoning = self._reasoning.add(reasoning) if reasoning else ""
        if not self.splits_thinking or not text:
            return text, reasoning
        thought, text = self._block.add(text)
        return text, reasoning + thought

    def rest(self) -> tuple[str, str]:
        """The text and the reasoning that were held back; call it once, at the end."""
        text, reasoning = self._text.rest(), self._reasoning.rest()
        if not self.splits_thinking:
            return text, reasoning
        thought, answer = self._block.add(text) if text else ("", "")
        more_thought, more_answer = self._block.rest()
        return answer + more_answer, reasoning + thought + more_thought
