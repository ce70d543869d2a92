"""What was read of an answer so far, in every wire format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk

from chains.runtime import errors
from chains.runtime.pricing import Usage
from chains.runtime.providers.finish import finish_reason_of
from chains.runtime.providers.pieces import Piece, ending, held_back
from chains.runtime.providers.tidy import Tidy
from chains.runtime.providers.toolcalls import ToolCalls
from chains.runtime.providers.usage import Counts

# How deep the blocks of a message's content are read.
MAX_BLOCK_DEPTH = 3
MAX_WORD_CHARS = 200


@dataclass(slots=True)
class Collected:
    """Reads the objects of an answer, streamed or whole, one after another; each wire format has a subclass.

    ``began``: one of them belonged to an answer. ``is_over``: it said that nothing follows. ``fault`` is set
    where the finish reason says that the answer is broken off. ``is_refuted``: content came after a finish
    reason, so that this provider's finish reasons do not end its answers. ``ends_with_content``: the finish
    reason came together with content, and so may be refuted.
    """

    tidy: Tidy
    began: bool = False
    is_over: bool = False
    fault: errors.ProviderError | None = None
    finish_reason: str = ""
    is_refuted: bool = False
    ends_with_content: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    _counts: Counts = field(default_factory=Counts)
    _tools: ToolCalls = field(default_factory=ToolCalls)

    def knows(self, value: Mapping[str, Any]) -> bool:
        """Whether the object belongs to an answer in this format."""
        raise NotImplementedError

    def piece(self, value: Mapping[str, Any], *, name: str = "", is_body: bool = False) -> Piece | None:
        """What one object says, ``None`` where that is nothing new; ``name`` is the name of its event."""
        raise NotImplementedError

    @property
    def is_complete(self) -> bool:
        """Whether the answer needs nothing more, whatever follows."""
        return bool(self.finish_reason) and not self.is_refuted

    @property
    def usage(self) -> Usage | None:
        return self._counts.usage

    def end(self) -> list[Piece]:
        """The last pieces of a complete answer."""
        end = ending(
            self.finish_reason,
            calls_tools=self._tools.any,
            usage=self.usage,
            metadata=self.metadata,
        )
        return [*self.rest(), end]

    def rest(self) -> list[Piece]:
        """What was held back of the texts."""
        calls = self._tools.rest()
        return [*held_back(self.tidy), *([Piece(tool_calls=calls)] if calls else [])]

    def _content(
        self, text: str, reasoning: str, calls: Sequence[ToolCallChunk] = (), *, word: str = ""
    ) -> Piece | None:
        """The piece with this content, with which the finish reason ``word`` came."""
        has_content = bool(text or calls)
        if has_content and self.finish_reason:
            self.is_refuted = True
        if word:
            self.ends_with_content = has_content
            self._end_by(word)
        if text or reasoning:
            text, reasoning = self.tidy.add(text, reasoning)
        if text or reasoning or calls:
            return Piece(text=text, reasoning=reasoning, tool_calls=calls)
        return None

    def _end_by(self, word: str) -> None:
        try:
            finish_reason_of(word)
            self.finish_reason = word
        except errors.ProviderFailed as fault:
            self.fault = fault

    def _note_words(self, value: Mapping[str, Any], **names: str) -> None:
        """Note the texts of the object that messages have in their metadata, each under its other name."""
        for name, own in names.items():
            if isinstance(said := value.get(own), str) and said:
                self.metadata[name] = said[:MAX_WORD_CHARS]


@dataclass(slots=True)
class Said:
    """A text so far, of a server that sends whole messages: each may repeat what was said before it."""

    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _is_in_parts: bool = False

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, text: str) -> str:
        if text:
            self._parts.append(text)
            self._length += len(text)
            self._is_in_parts = True
        return text

    def new_in(self, text: str) -> str:
        """What the text of a whole message adds."""
        # A shorter message repeats nothing. To join the parts for each of them would take quadratic time.
        if len(text) >= self._length and text.startswith(self.text):
            new = text[self._length :]
            self._parts, self._length = [text], len(text)
            return new
        if self._is_in_parts:
            # The whole answer at the end of its parts, though not to the letter.
            return ""
        self._parts.append(text)
        self._length += len(text)
        return text


def object_in(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name, an empty one where there is none."""
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def texts_in(content: Any, depth: int = 0) -> tuple[str, str]:
    """The text and the reasoning in a message's content: a text, or a list of blocks."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict):
        content = [content]
    text = reasoning = ""
    for block in content if isinstance(content, list) and depth < MAX_BLOCK_DEPTH else ():
        if isinstance(block, str):
            text += block
        elif isinstance(block, dict):
            kind = block.get("type")
            if kind in ("thinking", "reasoning"):
                names = ("thinking", "reasoning", "text", "summary", "content")
                inner = next((block[name] for name in names if block.get(name)), None)
                reasoning += "".join(texts_in(inner, depth + 1))
            elif isinstance(said := block.get("text") or block.get("refusal"), str):
                text += said
    return text, reasoning
