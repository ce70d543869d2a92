"""Calls a model, with places, time limits, retries and fallbacks, and records what the call used.

Any exception that a provider's code raises is translated to a ProviderError: a ValueError from a garbled
answer must never look like a fault of the caller.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration

from chains.runtime import errors
from chains.runtime.context import ModelCall, RunContext
from chains.runtime.events import Call
from chains.runtime.names import digest
from chains.runtime.pricing import Usage, cost_usd
from chains.runtime.providers import build_model, kind_of, load_kinds
from chains.runtime.providers.reach import ModelParams, PlanTarget, places_at
from chains.runtime.wire.values import encode
from concurrency.loops import per_loop

ATTEMPTS = 3
PLACE_WAIT_S = 10.0
MAX_PROMPT_CHARS = 256 * 1024
MAX_ANSWER_CHARS = 1024 * 1024
MAX_KEPT_MODELS = 256
# What a provider reports about its answer is limited to what a Run row can store.
MAX_FINISH_REASON_CHARS = 64
MAX_TOKENS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class GuardedModel:
    """A target and its fallbacks: a fallback is called only where no token has come before the failure."""

    targets: tuple[PlanTarget, ...]
    params: ModelParams

    def load(self) -> None:
        """Import the modules of the targets' provider kinds; an import blocks the event loop."""
        load_kinds(target.provider.kind for target in self.targets)

    def build(self) -> Sequence[BaseChatModel]:
        """One model for each target, kept per event loop because its connections belong to one loop.

        Raises InvalidSpec where a provider does not accept the parameters.
        """
        return _kept_models().get(self)

    @cached_property
    def key(self) -> str:
        """Cache key: equal where the same models can be used again. A digest, so it reveals no credential."""
        reach = [
            [t.model, {**vars(t.provider), "api_key": digest(t.provider.api_key.get_secret_value())}]
            for t in self.targets
        ]
        return digest([reach, encode(vars(self.params))])

    async def answers(
        self, path: str, messages: list[BaseMessage], context: RunContext, *, streaming: bool
    ) -> AsyncGenerator[ChatGeneration, None]:
        """Yield pieces of the answer from the first target that starts one; ``path`` names the step."""
        _check_length(messages)
        last = len(self.targets) - 1
        for index, (target, model) in enumerate(zip(self.targets, self.build(), strict=True)):
            attempt = _Attempt(path=path, context=context, target=target, model=model)
            try:
                async with aclosing(attempt.run(messages, streaming=streaming)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except errors.ProviderError:
                if attempt.began or index == last:
                    raise


class _KeptModels:
    """The most recently used models of one event loop."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, Sequence[BaseChatModel]] = OrderedDict()

    def get(self, call: GuardedModel) -> Sequence[BaseChatModel]:
        key = call.key
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        self._models[key] = models = [build_model(target, call.params) for target in call.targets]
        if len(self._models) > MAX_KEPT_MODELS:
            self._models.popitem(last=False)
        return models


_kept_models = per_loop(_KeptModels)


def _check_length(messages: list[BaseMessage]) -> None:
    if sum(len(str(message.content)) for message in messages) > MAX_PROMPT_CHARS:
        raise errors.InvalidInput(f"The whole prompt is longer than {MAX_PROMPT_CHARS} characters.")


@dataclass(kw_only=True)
class _Attempt:
    """Calls one target, up to ATTEMPTS times. ``began``: a token was passed on, so no retry follows."""

    path: str
    context: RunContext
    target: PlanTarget
    model: BaseChatModel
    began: bool = False
    tries: int = 0
    size: int = 0
    finish_reason: str = ""
    usage: Usage | None = None

    async def run(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[ChatGeneration, None]:
        await self._emit("started")
        async with self._place():
            while True:
                self.tries += 1
                self.size, self.finish_reason, self.usage = 0, "", None
                try:
                    streams = streaming and self._can_stream
                    source = self._stream(messages) if streams else self._whole(messages)
                    async with aclosing(source) as pieces:
                        async for piece in pieces:
                            self.began = self.began or _says_something(piece)
                            yield piece
                    break
                except errors.ProviderError as error:
                    await self._wait_or_raise(error)
        self._record()
        await self._emit("finished")

    @property
    def _can_stream(self) -> bool:
        """A chat model need not stream; LangChain's base class then has no stream either."""
        cls = type(self.model)
        return cls._astream is not BaseChatModel._astream or cls._stream is not BaseChatModel._stream

    async def _stream(self, messages: list[BaseMessage]) -> AsyncGenerator[ChatGeneration, None]:
        provider, empty = self.target.provider, True
        # Pieces without a token do not extend this limit.
        first_token_by: float | None = time.monotonic() + provider.first_token_s
        async with aclosing(self.model._astream(messages)) as chunks:  # type: ignore[type-var]
            while True:
                limit_s = first_token_by - time.monotonic() if first_token_by else provider.chunk_s
                chunk = await self._guard(anext(chunks, None), limit_s)
                if chunk is None:
                    break
                empty = False
                if _says_something(chunk):
                    first_token_by = None
                self._note(chunk)
                yield chunk
        if empty:
            raise errors.ProviderGarbage()
        self._require_finish_reason()

    async def _whole(self, messages: list[BaseMessage]) -> AsyncGenerator[ChatGeneration, None]:
        limit_s = self.target.provider.answer_s
        result = await self._guard(self.model._agenerate(messages), limit_s)
        for generation in result.generations[:1]:
            self._note(generation)
            self._require_finish_reason()
            yield generation
        self._require_finish_reason()

    async def _guard(self, answer: Awaitable[Any], limit_s: float) -> Any:
        """Await ``answer`` within the limit; translate the exceptions of the provider's code."""
        try:
            async with asyncio.timeout(limit_s) as limit:
                return await answer
        except errors.ChainHubError:
            raise
        except Exception as error:
            if limit.expired():
                raise errors.ProviderTimeout() from error
            raise kind_of(self.target.provider.kind).load().translate(error) from error

    def _note(self, generation: ChatGeneration) -> None:
        self.size += len(generation.text)
        if self.size > MAX_ANSWER_CHARS:
            raise errors.OutputInvalid("The model's answer is longer than ChainHub keeps.")
        info = generation.generation_info or {}
        metadata = generation.message.response_metadata
        if reason := info.get("finish_reason") or metadata.get("finish_reason"):
            self.finish_reason = encode(str(reason))[:MAX_FINISH_REASON_CHARS]
        self.usage = usage_of(generation.message) or self.usage

    def _require_finish_reason(self) -> None:
        """Raise ProviderCut where none came: the answer is incomplete, although the SDK reports success."""
        if not self.finish_reason:
            raise errors.ProviderCut()

    async def _wait_or_raise(self, error: errors.ProviderError) -> None:
        """Wait before the next try, or raise ``error`` where no further try is allowed.

        The provider's Retry-After replaces our own wait. No try follows a wait beyond the run's deadline.
        """
        if self.began or not error.retryable or self.tries >= ATTEMPTS:
            raise error
        backoff = self.context.backoff
        wait_s = backoff.wait_s(self.tries) if error.retry_after_s is None else error.retry_after_s
        if time.monotonic() + wait_s >= self.context.deadline:
            raise error
        await backoff.sleep(wait_s)

    def _place(self) -> AbstractAsyncContextManager[None]:
        return _held(places_at(self.target.provider))

    def _record(self) -> None:
        price = self.target.price
        self.context.calls.append(
            ModelCall(
                step=self.path,
                provider=self.target.provider.slug,
                model=self.target.model,
                attempts=self.tries,
                finish_reason=self.finish_reason,
                usage=self.usage,
                cost_usd=cost_usd(self.usage, price) if self.usage and price else None,
            )
        )

    async def _emit(self, status: Literal["started", "finished"]) -> None:
        await self.context.emit(
            Call(
                path=self.path,
                status=status,
                at_ms=self.context.elapsed_ms,
                provider=self.target.provider.slug,
                model=self.target.model,
            )
        )


def usage_of(message: Any) -> Usage | None:
    """The token usage that a message reports; ``None`` where it is missing or impossible."""
    used = getattr(message, "usage_metadata", None)
    if not used:
        return None
    tokens = used["input_tokens"], used["output_tokens"]
    if not all(isinstance(n, int) and 0 <= n <= MAX_TOKENS for n in tokens):
        return None
    return Usage(input_tokens=tokens[0], output_tokens=tokens[1])


def _says_something(piece: ChatGeneration) -> bool:
    """Whether the piece has content: providers start a stream with a piece that only names the role."""
    return bool(piece.text or getattr(piece.message, "tool_calls", None) or piece.message.content)


@asynccontextmanager
async def _held(places: asyncio.Semaphore | None) -> AsyncIterator[None]:
    if places is None:
        yield
        return
    try:
        # Not wait_for: on Python 3.11 it may lose a cancellation.
        async with asyncio.timeout(PLACE_WAIT_S):
            await places.acquire()
    except TimeoutError:
        raise errors.ProviderBusy() from None
    try:
        yield
    finally:
        places.release()
