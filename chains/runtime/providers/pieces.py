"""Pieces of a model's answer, in one form for every kind of provider.

A model yields any number of pieces with content, then one with ``end``. Usage, finish reason and metadata are
told there only, so that adding pieces up never counts them twice.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import ToolCallChunk

from chains.runtime.pricing import Usage
from chains.runtime.providers.finish import FinishReason, finish_reason_of
from chains.runtime.providers.habits import Habits
from chains.runtime.providers.tidy import Tidy
from chains.runtime.providers.usage import metadata_of

# How many seconds to wait for the usage, or for the announced end, once an answer is complete.
REST_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What a provider told of a complete answer.

    ``raw_finish_reason`` is the provider's own word, "" where there was none. ``metadata`` is for messages,
    with LangChain's names: ``model_name``, ``system_fingerprint``, ``service_tier``.
    """

    finish_reason: FinishReason
    raw_finish_reason: str = ""
    usage: Usage | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def message(self) -> AIMessageChunk:
        return AIMessageChunk(
            content="",
            response_metadata={**self.metadata, "finish_reason": self.finish_reason},
            usage_metadata=metadata_of(self.usage) if self.usage else None,
            chunk_position="last",
        )


@dataclass(slots=True, kw_only=True)
class Piece:
    """A piece of an answer. ``given`` is the message of a LangChain model, which may hold more than this."""

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallChunk] = ()
    end: End | None = None
    given: AIMessageChunk | None = None

    @property
    def says_something(self) -> bool:
        return bool(self.text or self.reasoning or self.tool_calls)

    def message(self) -> AIMessageChunk:
        """The piece as LangChain's message; reasoning has the name that LangChain's integrations give it."""
        if self.end is not None:
            return self.end.message()
        if self.given is not None:
            return self.given
        return AIMessageChunk(
            content=self.text,
            additional_kwargs={"reasoning_content": self.reasoning} if self.reasoning else {},
            tool_call_chunks=list(self.tool_calls),
        )


def as_text(piece: Piece) -> Piece:
    """The piece of an answer that a tool was forced to give: the tool's arguments are the answer's text."""
    if piece.end is not None:
        is_call = piece.end.finish_reason == "tool_calls"
        return Piece(end=replace(piece.end, finish_reason="stop")) if is_call else piece
    arguments = "".join(call["args"] or "" for call in piece.tool_calls)
    if not piece.tool_calls:
        return piece
    return Piece(text=piece.text + arguments, reasoning=piece.reasoning)


def held_back(tidy: Tidy) -> list[Piece]:
    """What is still held back of an answer's texts; call it once, at the end."""
    text, reasoning = tidy.rest()
    return [Piece(text=text, reasoning=reasoning)] if text or reasoning else []


def ending(word: str, *, calls_tools: bool, usage: Usage | None, metadata: Mapping[str, Any]) -> Piece:
    """The last piece of a complete answer; ``word`` is the provider's finish reason, "" where it told none.

    Raises ProviderFailed where the word says that the answer is broken off.
    """
    reason = finish_reason_of(word)
    return Piece(
        end=End(
            finish_reason="tool_calls" if calls_tools and not word else reason,
            raw_finish_reason=word,
            usage=usage,
            metadata=metadata,
        )
    )


class ChatModel(Protocol):
    """A model as the calls use it; ``habits`` is ``None`` where refusals teach nothing."""

    @property
    def habits(self) -> Habits | None: ...

    def pieces(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        """Yield the pieces as they come, those that came together in one list; the last has ``end``.

        An answer that breaks off raises after its last pieces are yielded. Without ``streaming`` the answer
        is asked for whole.
        """
        ...
