"""One call of a model: its places, time limits, retries and stand-ins, and what it used.

Everything that goes wrong inside is the provider's fault and leaves as a ProviderError, whatever
class the SDK raised: a ValueError from a garbled answer must never look like the caller's mistake.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from chains.runtime import errors
from chains.runtime.events import Event, Step
from chains.runtime.plans.base import PlanStep, PlanTarget
from chains.runtime.pricing import Usage, cost_usd
from chains.runtime.providers.reach import build_model, places_at, translate
from chains.runtime.wire.values import encode

ATTEMPTS = 3
MAX_BACKOFF_S = 8.0
PLACE_WAIT_S = 10.0
MAX_PROMPT_CHARS = 256 * 1024
MAX_ANSWER_CHARS = 1024 * 1024
# What a provider says of its answer is bounded by what a Run row can keep.
MAX_FINISH_REASON_CHARS = 64
MAX_TOKENS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """A call that was answered; ``usage`` and ``cost_usd`` are ``None`` where not known."""

    step: str
    provider: str
    model: str
    attempts: int
    finish_reason: str
    usage: Usage | None
    cost_usd: Decimal | None


@dataclass(kw_only=True)
class Trace:
    """What happens during one run; ``deadline`` is on the monotonic clock."""

    emit: Callable[[Event], Awaitable[None]]
    deadline: float
    calls: list[ModelCall] = field(default_factory=list)
    streams: list[AsyncGenerator[ChatGeneration, None]] = field(default_factory=list)

    async def close_streams(self) -> None:
        """Hang up on the providers: LangChain drops a stream that is cancelled between two pieces."""
        for stream in self.streams:
            await stream.aclose()


# Built runnables are shared between runs, so what belongs to one run reaches them this way.
TRACE: ContextVar[Trace] = ContextVar("trace")


class GuardedModel(BaseChatModel):
    """A step's chat model: the first target that answers, guarded as this module says."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    step: PlanStep
    models: list[BaseChatModel]

    @classmethod
    def for_step(cls, step: PlanStep) -> "GuardedModel":
        return cls(step=step, models=[build_model(target, step) for target in step.targets])

    @property
    def _llm_type(self) -> str:
        return "chainhub"

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        answers = self.answers(messages, streaming=True)
        TRACE.get().streams.append(answers)
        return cast("AsyncIterator[ChatGenerationChunk]", answers)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with aclosing(self.answers(messages, streaming=False)) as answers:
            return ChatResult(generations=[answer async for answer in answers])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("Chains run asynchronously.")

    async def answers(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[ChatGeneration, None]:
        """Pieces of the answer from the first target that begins one."""
        _check_length(messages)
        trace = TRACE.get()
        last = len(self.models) - 1
        for index, (target, model) in enumerate(zip(self.step.targets, self.models, strict=True)):
            attempt = _Attempt(trace=trace, step=self.step, target=target, model=model)
            try:
                async with aclosing(attempt.run(messages, streaming=streaming)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except errors.ProviderError:
                if attempt.began or index == last:
                    raise


def _check_length(messages: list[BaseMessage]) -> None:
    if sum(len(str(message.content)) for message in messages) > MAX_PROMPT_CHARS:
        raise errors.InvalidInput(f"The whole prompt is longer than {MAX_PROMPT_CHARS} characters.")


@dataclass(kw_only=True)
class _Attempt:
    """One target, tried up to ATTEMPTS times; ``began`` once a piece of the answer was passed on."""

    trace: Trace
    step: PlanStep
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
        await self._tell("started")
        async with self._place():
            while True:
                self.tries += 1
                self.size, self.finish_reason, self.usage = 0, "", None
                try:
                    source = self._stream(messages) if streaming else self._whole(messages)
                    async with aclosing(source) as pieces:
                        async for piece in pieces:
                            self.began = self.began or _says_something(piece)
                            yield piece
                    break
                except errors.ProviderError as error:
                    await self._wait_or_raise(error)
        self._record()
        await self._tell("finished")

    async def _stream(self, messages: list[BaseMessage]) -> AsyncGenerator[ChatGeneration, None]:
        provider, empty = self.target.provider, True
        # Pieces without a token do not put this off.
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
        """Await within the limit; whatever the provider's code raises becomes a ProviderError."""
        try:
            async with asyncio.timeout(limit_s) as limit:
                return await answer
        except errors.ChainHubError:
            raise
        except Exception as error:
            if limit.expired():
                raise errors.ProviderTimeout() from error
            raise translate(error, self.target.provider) from error

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
        """An answer that ends without one was cut, although to the SDK it looks like success."""
        if not self.finish_reason:
            raise errors.ProviderCut()

    async def _wait_or_raise(self, error: errors.ProviderError) -> None:
        """Back off before the next try, or raise where there is none.

        Full jitter; a provider's Retry-After is obeyed where it fits the run's deadline.
        """
        if self.began or not error.retryable or self.tries >= ATTEMPTS:
            raise error
        wait_s = random.uniform(0, min(MAX_BACKOFF_S, 0.5 * 2**self.tries))  # noqa: S311
        if error.retry_after_s is not None:
            wait_s = error.retry_after_s
        if time.monotonic() + wait_s >= self.trace.deadline:
            raise error
        await asyncio.sleep(wait_s)

    def _place(self) -> AbstractAsyncContextManager[None]:
        return _held(places_at(self.target.provider))

    def _record(self) -> None:
        price = self.target.price
        self.trace.calls.append(
            ModelCall(
                step=self.step.name,
                provider=self.target.provider.slug,
                model=self.target.model,
                attempts=self.tries,
                finish_reason=self.finish_reason,
                usage=self.usage,
                cost_usd=cost_usd(self.usage, price) if self.usage and price else None,
            )
        )

    async def _tell(self, status: Any) -> None:
        provider, model = self.target.provider.slug, self.target.model
        await self.trace.emit(Step(name=self.step.name, status=status, provider=provider, model=model))


def usage_of(message: Any) -> Usage | None:
    """What a message says that it used; ``None`` without figures, or with some that cannot be."""
    used = getattr(message, "usage_metadata", None)
    if not used:
        return None
    tokens = used["input_tokens"], used["output_tokens"]
    if not all(isinstance(n, int) and 0 <= n <= MAX_TOKENS for n in tokens):
        return None
    return Usage(input_tokens=tokens[0], output_tokens=tokens[1])


def _says_something(piece: ChatGeneration) -> bool:
    """Whether this is a token: providers open a stream with a piece that only names the role."""
    return bool(piece.text or getattr(piece.message, "tool_calls", None) or piece.message.content)


@asynccontextmanager
async def _held(places: asyncio.Semaphore | None) -> AsyncIterator[None]:
    if places is None:
        yield
        return
    try:
        # Not wait_for: on Python 3.11 it may swallow a cancellation.
        async with asyncio.timeout(PLACE_WAIT_S):
            await places.acquire()
    except TimeoutError:
        raise errors.ProviderBusy() from None
    try:
        yield
    finally:
        places.release()
