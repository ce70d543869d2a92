"""Reads chat completions: the objects of an answer, streamed or whole, become normalised pieces.

Wire format: OpenAI API reference, "Create chat completion" and "Streaming". Servers and gateways deviate from
it in many ways. So each value is converted by itself, and one that does not convert is dropped alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk

from chains.runtime import errors
from chains.runtime.providers.finish import finish_reason_of, finish_word
from chains.runtime.providers.pieces import Piece, ending, held_back
from chains.runtime.providers.tidy import Tidy
from chains.runtime.providers.toolcalls import ToolCalls
from chains.runtime.providers.usage import Counts, plain_counts

# How deep the blocks of a message's content are read.
MAX_BLOCK_DEPTH = 3
METADATA = ("system_fingerprint", "service_tier")
MAX_WORD_CHARS = 200


@dataclass(slots=True)
class Chat:
    """The answer so far, from the objects of which it consists. ``began``: there was one of a chat.

    ``fault`` is set where the finish reason says that the answer is broken off.
    """

    tidy: Tidy
    began: bool = False
    fault: errors.ProviderError | None = None
    finish_reason: str = ""
    metadata: dict[str, Any] = field(default_factory=lambda: {"model_provider": "openai"})
    _counts: Counts = field(default_factory=Counts)
    _said: "_Said" = field(default_factory=lambda: _Said())
    _thought: "_Said" = field(default_factory=lambda: _Said())
    _tools: ToolCalls = field(default_factory=ToolCalls)

    def piece(self, data: Mapping[str, Any], *, is_body: bool = False) -> Piece | None:
        """What one object says, ``None`` where that is nothing new."""
        choices = data.get("choices")
        choice = _choice(choices, is_body=is_body)
        self._note(data, choice, is_body=is_body)
        self.began = self.began or isinstance(choices, list | dict)
        if choice is None:
            return None
        delta, is_whole = choice.get("delta"), False
        if not isinstance(delta, dict):
            delta, is_whole = choice.get("message"), True
        if isinstance(delta, dict):
            piece = self._of_delta(delta, is_whole=is_whole)
        else:
            # The completions that came before chats have a text in their choices.
            piece = self._of_delta({"content": choice.get("text")}, is_whole=False)
        if word := finish_word(choice.get("finish_reason")):
            self._end_by(word)
        return piece

    def _end_by(self, word: str) -> None:
        try:
            finish_reason_of(word)
            self.finish_reason = word
        except errors.ProviderFailed as fault:
            self.fault = fault

    def end(self) -> list[Piece]:
        """The last pieces of a complete answer."""
        end = ending(
            self.finish_reason,
            calls_tools=self._tools.any,
            usage=self._counts.usage,
            metadata=self.metadata,
        )
        return [*self.rest(), end]

    def rest(self) -> list[Piece]:
        """What was held back of the texts."""
        calls = self._tools.rest()
        return [*held_back(self.tidy), *([Piece(tool_calls=calls)] if calls else [])]

    def _of_delta(self, delta: Mapping[str, Any], *, is_whole: bool) -> Piece | None:
        text, reasoning = _texts(delta.get("content"))
        reasoning += _reasoning(delta)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal != text:
            text += refusal
        called = self._tools.any
        if is_whole:
            text, reasoning = self._said.new_in(text), self._thought.new_in(reasoning)
        else:
            self._said.add(text)
            self._thought.add(reasoning)
        if text or reasoning:
            text, reasoning = self.tidy.add(text, reasoning)
        calls: Sequence[ToolCallChunk] = ()
        if (delta.get("tool_calls") or delta.get("function_call")) and not (is_whole and called):
            calls = self._tools.pieces(delta, is_whole=is_whole)
        if text or reasoning or calls:
            return Piece(text=text, reasoning=reasoning, tool_calls=calls)
        return None

    def _note(self, data: Mapping[str, Any], choice: Mapping[str, Any] | None, *, is_body: bool) -> None:
        groq = data.get("x_groq")
        for counted in (
            data.get("usage"),
            choice.get("usage") if choice else None,
            groq.get("usage") if isinstance(groq, dict) else None,
        ):
            if isinstance(counted, dict):
                self._counts.note(counted)
                if is_body:
                    self.metadata["token_usage"] = plain_counts(counted)
        if isinstance(model := data.get("model"), str) and model:
            self.metadata["model_name"] = model[:MAX_WORD_CHARS]
        for name in ("system_fingerprint", "service_tier", "id") if is_body else METADATA:
            if isinstance(value := data.get(name), str) and value:
                self.metadata[name] = value[:MAX_WORD_CHARS]


@dataclass(slots=True)
class _Said:
    """A text so far, of a server that sends whole messages: each may repeat what was said before it."""

    _parts: list[str] = field(default_factory=list)
    _is_in_parts: bool = False

    def add(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._is_in_parts = True

    def new_in(self, text: str) -> str:
        """What the text of a whole message adds."""
        so_far = "".join(self._parts)
        if text.startswith(so_far):
            self._parts = [text]
            return text[len(so_far) :]
        if self._is_in_parts:
            # The whole answer at the end of its parts, though not to the letter.
            return ""
        self._parts.append(text)
        return text


def _choice(choices: Any, *, is_body: bool) -> Mapping[str, Any] | None:
    """The choice with index 0: others are alternatives, which nobody asked for."""
    if isinstance(choices, dict):
        return choices
    if is_body and isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
        return choices[0]
    if not isinstance(choices, list):
        return None
    return next((c for c in choices if isinstance(c, dict) and c.get("index") in (0, None, "0")), None)


def _texts(content: Any, depth: int = 0) -> tuple[str, str]:
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
                inner = block.get("thinking") or block.get("reasoning") or block.get("text")
                reasoning += "".join(_texts(inner, depth + 1))
            elif isinstance(said := block.get("text") or block.get("refusal"), str):
                text += said
    return text, reasoning


def _reasoning(delta: Mapping[str, Any]) -> str:
    """The reasoning beside a message's content. Servers that send it under two names mean it once."""
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(said := delta.get(name), str) and said:
            return said
    details = delta.get("reasoning_details")
    blocks = [block for block in details if isinstance(block, dict)] if isinstance(details, list) else []
    said = (block.get("text") or block.get("summary") for block in blocks)
    return "".join(text for text in said if isinstance(text, str))
