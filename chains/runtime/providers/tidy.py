"""Puts the texts of an answer right as they come: characters that were cut in two, and think blocks."""

import re
from dataclasses import dataclass, field
from typing import Literal

# The names that models give to the tag of a think block.
NAMES = ("think", "thinking", "thought")
OPENINGS = {f"<{name}>": f"</{name}>" for name in NAMES}
CLOSINGS = tuple(OPENINGS.values())
BLANKS = "\ufeff\u200b"


# Bytes that are no UTF-8, and what may be the first part of a character at the end of a text.
RAW_BYTES = re.compile("[\udc80-\udcff]+")
BROKEN_END = re.compile("(?:[\ud800-\udbff]|(?<![\ud800-\udbff])[\udcc2-\udcf4][\udc80-\udcbf]{0,2})\\Z")


def _decoded(found: re.Match[str]) -> str:
    return found[0].encode(errors="surrogateescape").decode(errors="replace")


@dataclass(slots=True)
class Joined:
    """Joins characters of which only parts came: halves of their UTF-16 form, or bytes of their UTF-8 form.

    The bytes are lone surrogates, as Python decodes them with ``surrogateescape``.
    """

    _high: str = ""

    def add(self, text: str) -> str:
        """The text as far as its last character is complete."""
        if text.isascii() and not self._high:
            return text
        text, self._high = self._high + text, ""
        complete = BROKEN_END.sub("", text)
        text, self._high = complete, text[len(complete) :]
        try:
            text.encode()
        except UnicodeEncodeError:
            # A half that has no other half stays: whoever stores or sends it replaces it.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            return RAW_BYTES.sub(_decoded, text)
        return text

    def rest(self) -> str:
        high, self._high = self._high, ""
        return RAW_BYTES.sub(_decoded, high)


@dataclass(slots=True)
class ThinkBlock:
    """Splits ``<think>`` blocks at the beginning of an answer from the text after them."""

    _state: Literal["start", "thinking", "answer"] = "start"
    _closing: str = ""
    # Text that may be a part of a tag, or white space before one.
    _held: str = ""
    _has_split: bool = False

    def add(self, text: str) -> tuple[str, str]:
        """The reasoning and the answer in this text; what may belong to a tag is held back."""
        if self._state == "answer":
            return "", text
        text, self._held = self._held + text, ""
        reasoning = ""
        while text:
            if self._state == "thinking":
                thought, closing, text = text.partition(self._closing)
                if not closing:
                    thought, self._held = _without_part_of(self._closing, thought)
                    return reasoning + thought, ""
                reasoning += thought
                self._state, self._has_split = "start", True
                continue
            begins = text.lstrip().lstrip(BLANKS).lstrip()
            # The end of a block whose beginning the server has taken for itself.
            tags = (*OPENINGS, *CLOSINGS)
            if any(tag.startswith(begins) and begins != tag for tag in tags):
                self._held = text
                return reasoning, ""
            tag = next((tag for tag in tags if begins.startswith(tag)), None)
            if tag is None:
                self._state = "answer"
                # The line breaks between a block and the answer belong to neither.
                return reasoning, begins if self._has_split else text
            text = begins[len(tag) :]
            if tag in OPENINGS:
                self._state, self._closing = "thinking", OPENINGS[tag]
            else:
                self._has_split = True
        return reasoning, ""

    def rest(self) -> tuple[str, str]:
        """What was held back until the end of the answer."""
        held, self._held = self._held, ""
        if self._state == "thinking":
            return held, ""
        return "", "" if self._has_split and not held.strip() else held


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
