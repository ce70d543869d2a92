"""Any chat model of LangChain's, as the calls use it."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGeneration

from chains.runtime import errors
from chains.runtime.providers.finish import finish_word
from chains.runtime.providers.habits import Habits
from chains.runtime.providers.pieces import REST_S, Piece, ending, held_back
from chains.runtime.providers.tidy import Tidy
from chains.runtime.providers.usage import usage_from_metadata


def finish_reason_in(metadata: Mapping[str, Any]) -> Any:
    """Why the answer ended, under the names that integrations give it."""
    names = ("finish_reason", "stop_reason", "done_reason")
    return next((metadata[name] for name in names if metadata.get(name)), None)


@dataclass(frozen=True, kw_only=True)
class LangChainModel:
    """Calls ``model`` without callbacks and tracing. ``splits_thinking`` as in ``Tidy``."""

    model: BaseChatModel
    splits_thinking: bool = False
    habits: Habits | None = None

    async def pieces(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        answer = _Answer(Tidy(self.splits_thinking))
        if streaming and self._can_stream:
            try:
                async with aclosing(self.model._astream(messages)) as source:  # type: ignore[type-var]
                    async for chunk in _until_silent(source, answer):
                        if piece := answer.piece(chunk):
                            yield [piece]
            except Exception:
                if rest := held_back(answer.tidy):
                    yield rest
                raise
        else:
            result = await self.model._agenerate(messages)
            for generation in result.generations[:1]:
                answer.note(result.llm_output or {})
                if piece := answer.piece(generation):
                    yield [piece]
        yield held_back(answer.tidy)
        yield answer.end()

    @property
    def _can_stream(self) -> bool:
        """A chat model need not stream; LangChain's base class then has no stream either."""
        cls = type(self.model)
        return cls._astream is not BaseChatModel._astream or cls._stream is not BaseChatModel._stream


async def _until_silent(source: AsyncIterator[Any], answer: "_Answer") -> AsyncIterator[ChatGeneration]:
    """Yield the chunks. Once the finish reason is known, a failure or silence is the end."""
    while True:
        try:
            async with asyncio.timeout(REST_S if answer.finish_reason else None):
                chunk = await anext(source, None)
        except Exception:
            if not answer.finish_reason:
                raise
            return
        if chunk is None:
            return
        yield chunk


@dataclass(slots=True)
class _Answer:
    """What was read of the answer. The usage of streamed chunks adds up, by LangChain's convention."""

    tidy: Tidy
    began: bool = False
    finish_reason: str = ""
    usage: UsageMetadata | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    calls_tools: bool = False

    def piece(self, generation: ChatGeneration) -> Piece | None:
        self.began = True
        message = generation.message
        self.note({**(generation.generation_info or {}), **message.response_metadata})
        if used := getattr(message, "usage_metadata", None):
            self.usage = add_usage(self.usage, used)
        if not isinstance(message, AIMessage):
            return None
        said = str(message.text)
        text, reasoning = self.tidy.add(said, _reasoning(message))
        given = _without_metadata(message, content=text if text != said else None, reasoning=reasoning)
        calls = given.tool_call_chunks
        self.calls_tools = self.calls_tools or bool(calls)
        if text or reasoning or calls or given.content:
            return Piece(text=text, reasoning=reasoning, tool_calls=calls, given=given)
        return None

    def end(self) -> list[Piece]:
        """The last piece; raises ProviderGarbage where nothing came before it."""
        if not self.began:
            raise errors.ProviderGarbage()
        usage = usage_from_metadata(self.usage) if self.usage else None
        calls = self.calls_tools
        return [ending(self.finish_reason, calls_tools=calls, usage=usage, metadata=self.metadata)]

    def note(self, metadata: Mapping[str, Any]) -> None:
        self.finish_reason = finish_word(finish_reason_in(metadata)) or self.finish_reason
        self.metadata.update((name, value) for name, value in metadata.items() if value is not None)


def _without_metadata(message: AIMessage, *, content: str | None, reasoning: str) -> AIMessageChunk:
    """The message as a chunk, without what the answer's end tells, and with ``content`` if it is given."""
    # A think block that was split off; reasoning of the message's own stays where it is.
    more = {"reasoning_content": reasoning} if content is not None and reasoning else {}
    fields = {
        "content": message.content if content is None else content,
        "additional_kwargs": more | message.additional_kwargs,
        "id": message.id,
    }
    if isinstance(message, AIMessageChunk):
        return AIMessageChunk(**fields, tool_call_chunks=message.tool_call_chunks)
    calls = [
        {
            "type": "tool_call_chunk",
            "name": c["name"],
            "args": json.dumps(c["args"], ensure_ascii=False),
            "id": c["id"],
            "index": index,
        }
        for index, c in enumerate(message.tool_calls)
    ]
    return AIMessageChunk(**fields, tool_call_chunks=calls)


def _reasoning(message: AIMessage) -> str:
    """The reasoning in a message: in LangChain's content blocks, or where integrations put it."""
    if isinstance(message.content, str):
        said = message.additional_kwargs.get("reasoning_content")
        return said if isinstance(said, str) else ""
    blocks = (block for block in message.content if isinstance(block, dict))
    said = (
        block.get(str(block.get("type")))
        for block in blocks
        if block.get("type") in ("thinking", "reasoning")
    )
    return "".join(text for text in said if isinstance(text, str))
