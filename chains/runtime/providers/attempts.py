"""Asks one target of a step, with a place, time limits and retries, and records every try.

Any exception that a provider's code raises is translated to a ProviderError: a ValueError from a garbled
answer must never look like a fault of the caller.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from langchain_core.messages import BaseMessage

from chains.runtime import errors
from chains.runtime.context import MAX_TEXT_CHARS, ModelCall, RunContext, Try
from chains.runtime.events import Call
from chains.runtime.pricing import Usage, cost_usd
from chains.runtime.providers import kind_of
from chains.runtime.providers.failures import masked, without
from chains.runtime.providers.lessons import Asking
from chains.runtime.providers.pieces import End, Piece
from chains.runtime.providers.reach import PlanTarget, ProviderConfig, places_at
from chains.runtime.wire.values import shortened

T = TypeVar("T")

ATTEMPTS = 3
PLACE_WAIT_S = 10.0
MAX_ANSWER_CHARS = 1024 * 1024


@dataclass(kw_only=True)
class Attempt:
    """Calls one target, up to ATTEMPTS times. ``began``: content was passed on, so no retry follows.

    ``first_ms`` is also set where content has come that could not be passed on.
    """

    path: str
    context: RunContext
    asking: Asking
    tries: list[Try] = field(default_factory=list)
    # Of the try under way:
    is_trying: bool = False
    started_ms: int = 0
    first_ms: int | None = None
    size: int = 0
    began: bool = False
    has_said: bool = False
    thought: int = 0
    reasoning: list[str] = field(default_factory=list)
    end: End | None = None
    # What a try that failed was counted at; of several the last.
    usage_of_failure: Usage | None = None

    @property
    def target(self) -> PlanTarget:
        return self.asking.target

    async def run(self, messages: list[BaseMessage]) -> AsyncGenerator[Sequence[Piece], None]:
        await self._emit("started")
        # Waiting for a place is told as a try too, where none becomes free.
        self._begin_try()
        try:
            async with self._place():
                while self.end is None:
                    self._begin_try()
                    try:
                        async with aclosing(self._try(messages)) as answer:
                            async for pieces in answer:
                                yield pieces
                    except errors.ChainHubError as error:
                        if self.end is not None:
                            raise
                        self._end_try("failed", error)
                        await self._prepare_another_try(error)
                        errors.forget_frames(error)
        except errors.ProviderBusy as error:
            self._end_try("failed", error)
            raise
        finally:
            if self.is_trying:
                self._end_try("cancelled")
            self._record()
        await self._emit("finished")

    async def _try(self, messages: list[BaseMessage]) -> AsyncGenerator[Sequence[Piece], None]:
        provider, streams = self.target.provider, self.asking.streams
        # Content ends this limit. With other events of the answer it begins anew; with comments it does not.
        due: float | None = time.monotonic() + (provider.first_token_s if streams else provider.answer_s)
        async with aclosing(self.asking.model.pieces(messages, streaming=streams)) as source:
            while self.end is None:
                limit_s = due - time.monotonic() if due else provider.chunk_s
                pieces = await guarded(provider, anext(source, None), limit_s)
                if pieces is None:
                    raise errors.ProviderCut()
                for piece in pieces:
                    self._note(piece)
                if streams and self.began:
                    due = None
                elif streams and due:
                    due = time.monotonic() + provider.first_token_s
                if pieces:
                    yield pieces

    def _note(self, piece: Piece) -> None:
        if piece.end is not None:
            self.end = self._without_secrets(piece.end)
            piece.end = self.end
            self._end_try("answered")
            self.asking.keep()
            return
        if not self.began and piece.says_something:
            self.began, self.first_ms = True, self.context.elapsed_ms - self.started_ms
        if piece.text:
            if not self.has_said:
                self.has_said = True
                self._say([])
            self.context.said.append(piece.text)
        if piece.reasoning and self.thought <= MAX_TEXT_CHARS:
            self.reasoning.append(piece.reasoning)
            self.thought += len(piece.reasoning)
        self.size += (
            len(piece.text) + len(piece.reasoning) + sum(len(call["args"] or "") for call in piece.tool_calls)
        )
        if self.size > MAX_ANSWER_CHARS:
            raise errors.OutputInvalid("The model's answer is longer than ChainHub keeps.")

    def _say(self, texts: list[str]) -> None:
        self.context.said[:], self.context.said_by = texts, self.path

    def _without_secrets(self, end: End) -> End:
        """A provider may repeat a credential in any of its words."""
        secrets = self.target.provider.secrets
        words = {name: value for name, value in end.metadata.items() if isinstance(value, str)}
        said = " ".join((end.raw_finish_reason, *words.values()))
        if without(said, secrets) == said:
            return end
        clean = {name: without(value, secrets) for name, value in words.items()}
        raw = without(end.raw_finish_reason, secrets)
        return replace(end, raw_finish_reason=raw, metadata={**end.metadata, **clean})

    # --- Tries ---------------------------------------------------------------------------------

    def _begin_try(self) -> None:
        self.is_trying, self.started_ms, self.first_ms, self.size = True, self.context.elapsed_ms, None, 0
        self.reasoning, self.thought = [], 0
        self.has_said = False

    def _end_try(
        self,
        outcome: Literal["answered", "failed", "cancelled"],
        error: errors.ChainHubError | None = None,
    ) -> None:
        self.is_trying = False
        told = getattr(error, "told", None)
        self.usage_of_failure = getattr(error, "usage", None) or self.usage_of_failure
        if said := getattr(error, "said", ""):
            self._say([said])
            if self.first_ms is None:
                self.first_ms = self.context.elapsed_ms - self.started_ms
        self.tries.append(
            Try(
                started_ms=self.started_ms,
                ms=self.context.elapsed_ms - self.started_ms,
                first_ms=self.first_ms,
                outcome=outcome,
                code=error.code if error else "",
                told=masked(told, *self.target.provider.secrets) if told else None,
            )
        )

    async def _prepare_another_try(self, error: errors.ChainHubError) -> None:
        """Change the request or wait before the next try; raise ``error`` where no further try is allowed.

        The provider's Retry-After replaces our own wait. No try follows a wait beyond the run's deadline.
        """
        if self.began or not isinstance(error, errors.ProviderError):
            raise error
        if self.asking.learns(error, self.tries[-1].told):
            return
        tries = len(self.tries) - self.asking.taught
        if not error.retryable or tries >= ATTEMPTS:
            raise error
        if tries == ATTEMPTS - 1:
            self.asking.doubt()
        backoff = self.context.backoff
        wait_s = backoff.wait_s(tries) if error.retry_after_s is None else error.retry_after_s
        if time.monotonic() + wait_s >= self.context.deadline:
            raise error
        await backoff.sleep(wait_s)

    def _place(self) -> AbstractAsyncContextManager[None]:
        return _held(places_at(self.target.provider))

    def _record(self) -> None:
        price, end = self.target.price, self.end
        usage = end.usage if end else self.usage_of_failure
        self.context.calls.append(
            ModelCall(
                step=self.path,
                provider=self.target.provider.slug,
                model=self.target.model,
                tries=tuple(self.tries),
                finish_reason=end.finish_reason if end else "",
                raw_finish_reason=end.raw_finish_reason if end else "",
                reasoning=shortened("".join(self.reasoning), MAX_TEXT_CHARS),
                usage=usage,
                cost_usd=cost_usd(usage, price) if usage and price else None,
            )
        )

    async def _emit(self, status: Literal["started", "finished"]) -> None:
        if not self.context.is_watched:
            return
        await self.context.emit(
            Call(
                path=self.path,
                status=status,
                at_ms=self.context.elapsed_ms,
                provider=self.target.provider.slug,
                model=self.target.model,
            )
        )


async def guarded(provider: ProviderConfig, answer: Awaitable[T], limit_s: float) -> T:
    """Await ``answer`` within the limit; translate the exceptions of the provider's code."""
    try:
        async with asyncio.timeout(limit_s) as limit:
            return await answer
    except errors.ChainHubError:
        raise
    except Exception as error:
        if limit.expired():
            timeout = errors.ProviderTimeout()
            timeout.said = getattr(error.__cause__, "said", "")
            raise timeout from error
        raise kind_of(provider.kind).translated(error) from error


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
