"""Calls a model, with places, time limits, retries and fallbacks, and records every try.

Any exception that a provider's code raises is translated to a ProviderError: a ValueError from a garbled
answer must never look like a fault of the caller.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from langchain_core.messages import BaseMessage

from chains.runtime import errors
from chains.runtime.context import MAX_TEXT_CHARS, ModelCall, RunContext, Taught, Try
from chains.runtime.errors import Told
from chains.runtime.events import Call
from chains.runtime.names import digest
from chains.runtime.pricing import Usage, cost_usd
from chains.runtime.providers import build_model, kind_of, load_kinds
from chains.runtime.providers.failures import masked, without
from chains.runtime.providers.habits import Lesson, Refused, applied, lesson
from chains.runtime.providers.pieces import ChatModel, End, Piece
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig, places_at
from chains.runtime.wire.values import encode, shortened
from concurrency.loops import per_loop

T = TypeVar("T")

ATTEMPTS = 3
# Requests that are refused and sent once more in another way; they are not charged, and count as no attempt.
MAX_LESSONS = 6
PLACE_WAIT_S = 10.0
MAX_PROMPT_CHARS = 256 * 1024
MAX_ANSWER_CHARS = 1024 * 1024
MAX_KEPT_MODELS = 256


@dataclass(frozen=True, kw_only=True)
class GuardedModel:
    """A target and its fallbacks: a fallback is called only where no token has come before the failure."""

    targets: tuple[PlanTarget, ...]
    params: ModelParams

    def load(self) -> None:
        """Import the modules of the targets' provider kinds; an import blocks the event loop."""
        load_kinds(target.provider.kind for target in self.targets)

    def build(self) -> Sequence[ChatModel]:
        """One model for each target, kept per event loop because its connections belong to one loop.

        Raises InvalidSpec where a provider does not accept the parameters.
        """
        return _kept_models().get(self)

    @cached_property
    def key(self) -> str:
        """Cache key: equal where the same models can be used again. A digest, so it reveals no credential."""
        reach = [[t.model, _fields_of(t.provider), t.learned] for t in self.targets]
        return digest([encode(reach), encode(vars(self.params))])

    async def answers(
        self, path: str, messages: list[BaseMessage], context: RunContext, *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        """Yield pieces of the answer from the first target that starts one; ``path`` names the step."""
        _check_length(messages)
        last = len(self.targets) - 1
        for index, (target, model) in enumerate(zip(self.targets, self.build(), strict=True)):
            attempt = _Attempt(
                path=path,
                context=context,
                target=target,
                model=model,
                params=self.params,
                streaming=streaming,
            )
            try:
                async with aclosing(attempt.run(messages)) as answer:
                    async for pieces in answer:
                        yield pieces
                return
            except errors.ProviderError:
                if attempt.began or index == last:
                    raise


def _fields_of(provider: ProviderConfig) -> dict[str, Any]:
    values = {each.name: getattr(provider, each.name) for each in fields(provider)}
    return {**values, "api_key": provider.api_key.get_secret_value()}


class _KeptModels:
    """The most recently used models of one event loop."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, Sequence[ChatModel]] = OrderedDict()

    def get(self, call: GuardedModel) -> Sequence[ChatModel]:
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
    """Only text counts: a picture in a ``data:`` URL is bounded by the size of the request's body."""
    if sum(len(message.text) for message in messages) > MAX_PROMPT_CHARS:
        raise errors.InvalidInput(f"The whole prompt is longer than {MAX_PROMPT_CHARS} characters.")


@dataclass(kw_only=True)
class _Attempt:
    """Calls one target, up to ATTEMPTS times. ``began``: content was passed on, so no retry follows.

    ``first_ms`` is also set where content has come that could not be passed on.
    """

    path: str
    context: RunContext
    target: PlanTarget
    model: ChatModel
    params: ModelParams
    streaming: bool
    tries: list[Try] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    doubted: list[Lesson] = field(default_factory=list)
    # Requests that were refused and taught something.
    taught: int = 0
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
        provider, streams = self.target.provider, self._streams
        # Content ends this limit. With other events of the answer it begins anew; with comments it does not.
        due: float | None = time.monotonic() + (provider.first_token_s if streams else provider.answer_s)
        async with aclosing(self.model.pieces(messages, streaming=streams)) as source:
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

    @property
    def _streams(self) -> bool:
        """Whether the answer is asked for in pieces; one that only comes in pieces is put together."""
        habits = self.model.habits
        if habits is None or habits.streaming == "yes":
            return self.streaming
        return habits.streaming == "only"

    def _note(self, piece: Piece) -> None:
        if piece.end is not None:
            self.end = self._without_secrets(piece.end)
            piece.end = self.end
            self._end_try("answered")
            self._keep_lessons()
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
        if self._learns(error):
            return
        tries = len(self.tries) - self.taught
        if not error.retryable or tries >= ATTEMPTS:
            raise error
        if tries == ATTEMPTS - 1:
            self._doubt()
        backoff = self.context.backoff
        wait_s = backoff.wait_s(tries) if error.retry_after_s is None else error.retry_after_s
        if time.monotonic() + wait_s >= self.context.deadline:
            raise error
        await backoff.sleep(wait_s)

    def _learns(self, error: errors.ProviderError) -> bool:
        """Whether the refusal teaches how to ask in another way; the next try then does so."""
        told, habits = self.tries[-1].told, self.model.habits
        if (
            told is None
            or habits is None
            or not (isinstance(error, errors.ProviderRefused) or _names_parts(told))
        ):
            return False
        settings, learned = self.target.provider.habits, self.target.learned
        refused = Refused.by(told, asked=self.params.asked, habits=habits, streaming=self._streams)
        taught = lesson(told, refused, settings=settings, learned=learned)
        if taught is None or taught in self.lessons or self.taught >= MAX_LESSONS:
            return False
        if taught.value is None:
            self.lessons = [taught]
            self._keep_lessons()
            return False
        self.lessons.append(taught)
        self.taught += 1
        self._ask_by(applied(learned, taught))
        return True

    def _doubt(self) -> None:
        """Ask as if nothing had been learned: the provider may have changed, which shows in odd failures.

        What this request does not use is not doubted: its answer would say nothing of it. Neither is the
        address: a wrong one is refused for good, and that teaches the right one.
        """
        used = {"streaming", *({"usage_in_streams"} if self._streams else ()), *self.params.asked}
        used |= {"token_limit"} if "max_tokens" in self.params.asked else set()
        doubted = [habit for habit in self.target.learned if habit in used]
        if self.model.habits is None or not doubted:
            return
        self.doubted = [Lesson(habit=habit, value=None) for habit in doubted]
        self.lessons = [each for each in self.lessons if each.habit not in doubted]
        self._ask_by({habit: v for habit, v in self.target.learned.items() if habit not in doubted})

    def _ask_by(self, learned: Mapping[str, str]) -> None:
        self.target = replace(self.target, learned=learned)
        self.model = build_model(self.target, self.params)

    def _keep_lessons(self) -> None:
        """Called once an answer shows that the lessons were right, or a refusal that one is wrong."""
        provider, model = self.target.provider.slug, self.target.model
        self.context.lessons += [
            Taught(provider=provider, model=model, habit=each.habit, value=each.value, refusal=each.refusal)
            for each in (*self.doubted, *self.lessons)
        ]

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


def _names_parts(told: Told) -> bool:
    """Whether an internal error is a refusal in truth: some servers take the parameters as Python's own."""
    return told.status == 501 or "unexpected keyword argument" in told.message


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
