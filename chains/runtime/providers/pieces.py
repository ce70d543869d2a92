"""Pieces of a model's answer, in one form for every kind of provider.

A model yields any number of pieces with content, then one with ``end``. Usage, finish reason and metadata are
told there only, so that adding pieces up never counts them twice.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk

from chains.runtime.errors import ProviderFailed
from chains.runtime.pricing import Usage
from chains.runtime.providers.habits import Habits
from chains.runtime.wire.values import encode

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

# How many seconds to wait for the usage, or for the announced end, once an answer is complete.
REST_S = 2.0
# What a provider reports about its answer is limited to what a Run row can store.
MAX_FINISH_REASON_CHARS = 64

# The words of providers and gateways, in lower case, and what each means.
FINISH_REASONS: Mapping[str, Any] = {
    word: meaning
    for meaning, words in {
        "length": "length max_tokens max_output_tokens model_length model_context_window_exceeded",
        "tool_calls": "tool_calls tool_call function_call tool_use",
        "content_filter": "content_filter content_filtered refusal sensitive safety recitation blocklist "
        "prohibited_content spii guardrail_intervened",
    }.items()
    for word in words.split()
}
# With these words a provider says that it broke the answer off.
BROKEN_OFF = frozenset(
    {"error", "abort", "aborted", "cancelled", "canceled", "failed", "timeout", "network_error"}
    | {"server_error", "internal_error", "insufficient_system_resource", "engine_overloaded"}
    | {"malformed_function_call"}
)


def finish_reason_of(word: str) -> FinishReason:
    """OpenAI's word for a provider's finish reason; an unknown word is a ``stop``.

    Raises ProviderFailed for a word that says that the answer is broken off.
    """
    word = word.strip().lower()
    if word in BROKEN_OFF:
        raise ProviderFailed("The model provider broke its answer off.")
    meaning: FinishReason = FINISH_REASONS.get(word, "stop")
    return meaning


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
            usage_metadata=_usage_metadata(self.usage) if self.usage else None,
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


# --- Usage -------------------------------------------------------------------------------------

MAX_TOKENS = 100_000_000


def tokens(value: Any) -> int | None:
    """A number of tokens; ``None`` for anything that is none, such as a word or a fraction."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value


def usage_of(message: Any) -> Usage | None:
    """The token usage that a LangChain message reports; ``None`` where it is missing or impossible."""
    used = getattr(message, "usage_metadata", None)
    return usage_from_metadata(used) if used else None


def usage_from_metadata(used: Mapping[str, Any]) -> Usage | None:
    read, written = tokens(used.get("input_tokens")), tokens(used.get("output_tokens"))
    if read is None or written is None:
        return None
    inputs, outputs = used.get("input_token_details") or {}, used.get("output_token_details") or {}
    details = {
        "cached": inputs.get("cache_read"),
        "cache_written": _cache_written(inputs),
        "audio_in": inputs.get("audio"),
        "reasoning": outputs.get("reasoning"),
        "audio_out": outputs.get("audio"),
    }
    return Usage(input_tokens=read, output_tokens=written, details=known(details))


def _cache_written(inputs: Mapping[str, Any]) -> int | None:
    """langchain-anthropic counts what is kept for five minutes or an hour apart from the rest."""
    names = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    counts = [count for name in names if (count := tokens(inputs.get(name))) is not None]
    return sum(counts) if counts else None


def known(details: Mapping[str, Any]) -> dict[str, int]:
    """The details that are numbers of tokens."""
    return {name: count for name, value in details.items() if (count := tokens(value)) is not None}


def _usage_metadata(usage: Usage) -> UsageMetadata:
    details = usage.details
    inputs = {"cache_read": "cached", "cache_creation": "cache_written", "audio": "audio_in"}
    outputs = {"reasoning": "reasoning", "audio": "audio_out"}
    return UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        input_token_details={name: details[of] for name, of in inputs.items() if of in details},  # type: ignore[typeddict-item]
        output_token_details={name: details[of] for name, of in outputs.items() if of in details},  # type: ignore[typeddict-item]
    )


def stored_word(word: Any) -> str:
    """A word of a provider, as far as a Run row can store it."""
    return str(encode(str(word)))[:MAX_FINISH_REASON_CHARS]
