"""The one entry: every way in starts its runs here.

A run is owned by a task of its own, not by the request that asked for it: the task writes the
record of the end whatever becomes of the reader, and a reader that leaves cancels the task.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts.auth import Caller
from accounts.database import in_database_thread
from chains.actions.resolve import find_version, plan_for
from chains.actions.workers import Heartbeat, worker_id
from chains.models import ChainVersion, Run
from chains.runtime import errors
from chains.runtime.calls import ModelCall, Trace
from chains.runtime.engine import Result, check_input, execute
from chains.runtime.events import Chunk, Event, Failed, Figures, Finished, Started, Status
from chains.runtime.plan import Plan
from chains.runtime.providers import load_kinds
from chains.runtime.spec import PRODUCTION
from chains.runtime.values import encode

logger = logging.getLogger(__name__)

# Events that wait for a reader; a slower reader slows the provider's stream down.
READER_LAG = 64
# Between tries to record the end of a run while the database does not answer.
RECORD_PAUSES_S = (0.2, 1, 5)


@dataclass(frozen=True, kw_only=True)
class RunCall:
    """What a caller wants; ``source`` is one of Run.Source, ``parent_id`` the batch it belongs to."""

    slug: str
    ref: str = PRODUCTION
    caller: Caller
    input: Any
    source: str
    streaming: bool = True
    parent_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run that succeeded, with its output as plain JSON data."""

    run_id: UUID
    output: Any
    started: Started
    figures: Figures


class RunStream:
    """A run that has been recorded as started; iterate for its events, ``cancel`` to stop it.

    Iteration ends after Finished or Failed. Leaving early does not stop the run: call ``cancel``.
    """

    def __init__(self, owner: "_Owner", plan: Plan):
        self.run_id: UUID = owner.run.id
        self.started = Started(
            run_id=owner.run.id,
            chain=plan.chain_slug,
            version=plan.version,
            prompts=plan.prompts,
            plan_digest=plan.digest,
        )
        self._state: Literal["new", "started", "ended"] = "new"
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(owner.drive(), name=f"run {owner.run.id}")
        # The loop itself keeps only weak references to its tasks.
        _streams[self.run_id] = self
        self._task.add_done_callback(lambda _: _streams.pop(self.run_id, None))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event; waiting for it may be cancelled and taken up again."""
        if self._state == "ended":
            raise StopAsyncIteration
        if self._state == "new":
            self._state = "started"
            return self.started
        event = await self._owner.events.get()
        if isinstance(event, Finished | Failed):
            self._state = "ended"
        return event

    def cancel(self, status: Status = "cancelled") -> None:
        """Stop the run and its call to the provider; may be called at any time, from any thread."""
        self._loop.call_soon_threadsafe(self._owner.stop, self._task, status)

    async def ended(self) -> None:
        """Wait until the end of the run has been recorded."""
        await asyncio.wait([self._task])


_streams: dict[UUID, RunStream] = {}
_stopping = threading.Event()


async def start_run(call: RunCall) -> RunStream:
    """Check, resolve and record the run, and start the task that owns it.

    Raises ChainNotFound, InvalidSpec, InvalidInput, ShuttingDown: then nothing is recorded and
    nothing ran.
    """
    if _stopping.is_set():
        raise errors.ShuttingDown
    starting = asyncio.get_running_loop().create_task(_start(call))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The row may be written this very moment: a run that starts is a run that is ended.
        starting.add_done_callback(_cancel_started)
        raise


async def _start(call: RunCall) -> RunStream:
    owner, plan = await in_database_thread(_prepare)(call)
    Heartbeat.ensure(lambda: list(_streams))
    return RunStream(owner, plan)


def _cancel_started(starting: asyncio.Task[RunStream]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().cancel()


def take_no_more_runs() -> None:
    """From now on this process only finishes what it has begun."""
    _stopping.set()


def any_under_way() -> bool:
    """Whether this process runs anything now."""
    return bool(_streams)


def interrupt_runs() -> list[RunStream]:
    """Stop every run of this process as interrupted; each has ``ended`` when that is recorded."""
    streams = list(_streams.values())
    for stream in streams:
        stream.cancel("interrupted")
    return streams


async def run_chain(call: RunCall) -> RunResult:
    """The same, collected; raises the run's own error where it fails, and cancels it when cancelled."""
    stream = await start_run(call)
    try:
        async for event in stream:
            if isinstance(event, Finished):
                return RunResult(
                    run_id=event.run_id,
                    output=event.output,
                    started=stream.started,
                    figures=event.figures,
                )
            if isinstance(event, Failed):
                raise event.error
    finally:
        # After an end this does nothing; where the caller left, it stops the provider's call.
        stream.cancel()
    raise AssertionError("A run ends with Finished or Failed.")


async def run_batch(calls: Sequence[RunCall]) -> list[RunResult]:
    """Results in the order of ``calls``, a few at a time; the first failure cancels the rest."""
    places = asyncio.Semaphore(settings.BATCH_CONCURRENCY)

    async def one(call: RunCall) -> RunResult:
        async with places:
            return await run_chain(call)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def check_batch(any_call: RunCall, calls: Sequence[RunCall]) -> None:
    """Raises InvalidInput, its ``loc`` beginning with the index, before any of the batch runs.

    ``any_call`` names the chain, which is looked for even where the batch is empty.
    """
    plan = await resolve(any_call)
    for index, call in enumerate(calls):
        try:
            check_input(plan, call.input)
        except errors.InvalidInput as error:
            faults = [{**fault, "loc": [index, *fault["loc"]]} for fault in error.errors]
            raise errors.InvalidInput(errors=faults) from None


async def resolve(call: RunCall) -> Plan:
    """The plan the call would run; raises ChainNotFound and InvalidSpec."""
    _, plan = await in_database_thread(_resolve)(call)
    return plan


def _resolve(call: RunCall) -> tuple[ChainVersion, Plan]:
    user = call.caller.user
    version = find_version(slug=call.slug, ref=call.ref, user=user)
    try:
        return version, plan_for(version)
    except errors.InvalidSpec:
        # What lacks is told to those who can mend it; to others it only names inner parts.
        if user.has_perm("chains.change_chain"):
            raise
        raise errors.InvalidSpec() from None


def _prepare(call: RunCall) -> tuple["_Owner", Plan]:
    """One trip to the database's thread for all that comes before the provider."""
    version, plan = _resolve(call)
    value = check_input(plan, call.input)
    load_kinds(target.provider.kind for step in plan.steps for target in step.targets)
    run = _record_start(call, version, plan, value)
    return _Owner(plan=plan, value=value, run=run, streaming=call.streaming), plan


def _record_start(call: RunCall, version: ChainVersion, plan: Plan, value: Mapping[str, Any]) -> Run:
    return Run.objects.create(
        id=uuid.uuid4(),
        parent_id=call.parent_id,
        chain=version.parent,
        chain_slug=plan.chain_slug,
        chain_version=version,
        chain_version_number=plan.version,
        prompt_versions=dict(plan.prompts),
        plan_digest=plan.digest,
        user=call.caller.user,
        key=call.caller.key,
        source=call.source,
        input=dict(value),
        worker=worker_id(),
    )


class _Events:
    """Events on their way to a reader, who slows the writer down once it lags; the last one never waits."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._room = asyncio.Semaphore(READER_LAG)

    async def put(self, event: Event) -> None:
        await self._room.acquire()
        self._queue.put_nowait(event)

    def put_last(self, event: Finished | Failed) -> None:
        self._queue.put_nowait(event)

    async def get(self) -> Event:
        event = await self._queue.get()
        self._room.release()
        return event


class _Owner:
    """Drives one run to its recorded end."""

    def __init__(self, *, plan: Plan, value: dict[str, Any], run: Run, streaming: bool):
        self.plan, self.value, self.run, self.streaming = plan, value, run, streaming
        self.events = _Events()
        self.began = time.monotonic()
        self.first_token_ms: int | None = None
        self.text: list[str] = []
        self.trace = Trace(emit=self._emit, deadline=self.began + plan.run_timeout_s)
        self.state: Literal["new", "running", "closing"] = "new"
        self.stopped_as: Status | None = None

    def stop(self, task: "asyncio.Task[None]", status: Status) -> None:
        """Cancel, unless the end is being recorded; a task that has not begun sees it as it does."""
        if self.stopped_as or self.state == "closing":
            # Once is enough: a second cancellation would cut the hanging up short.
            return
        self.stopped_as = status
        if self.state == "running":
            task.cancel()

    async def drive(self) -> None:
        self.state = "running"
        try:
            if self.stopped_as:
                raise asyncio.CancelledError
            end: Finished | Failed = self._finished(
                await execute(self.plan, self.value, streaming=self.streaming, trace=self.trace)
            )
        except asyncio.CancelledError:
            end = self._stopped()
        except errors.ChainHubError as error:
            # Only the names of its causes: their texts may quote prompts, answers and credentials.
            logger.warning("run %s failed: %s, by %s", self.run.id, error.code, _causes(error))
            end = self._failed(error)
        except Exception:
            logger.exception("run %s failed", self.run.id)
            end = self._failed(errors.ChainHubError())
        self.state = "closing"
        # Record first, tell then: who has seen the end finds it in the record.
        await self._close(end)
        self.events.put_last(end)

    async def _emit(self, event: Event) -> None:
        if isinstance(event, Chunk):
            if self.first_token_ms is None:
                self.first_token_ms = self._elapsed_ms()
            if isinstance(event.value, str):
                self.text.append(event.value)
        await self.events.put(event)

    async def _close(self, end: Finished | Failed) -> None:
        for pause_s in RECORD_PAUSES_S:
            try:
                await in_database_thread(self._record_end)(end)
                return
            except Exception:
                logger.exception("the end of run %s could not be recorded yet", self.run.id)
                await asyncio.sleep(pause_s)
        # The row is found by the sweep for lost runs, as the heartbeat no longer names it.

    def _record_end(self, end: Finished | Failed) -> None:
        figures = end.figures
        Run.objects.filter(pk=self.run.pk, status=Run.Status.RUNNING).update(
            status=Run.Status.SUCCEEDED if isinstance(end, Finished) else end.status,
            output=end.output if isinstance(end, Finished) else self._partial_output(),
            error_code=end.error.code if isinstance(end, Failed) else "",
            error_message=str(end.error)[:500] if isinstance(end, Failed) else "",
            finish_reason=end.finish_reason if isinstance(end, Finished) else "",
            calls=[_call_row(call) for call in self.trace.calls],
            input_tokens=figures.input_tokens,
            output_tokens=figures.output_tokens,
            cost_usd=figures.cost_usd,
            first_token_ms=figures.first_token_ms,
            latency_ms=figures.latency_ms,
            ended_at=timezone.now(),
        )

    def _finished(self, result: Result) -> Finished:
        return Finished(
            run_id=self.run.id,
            output=encode(result.output),
            finish_reason=result.finish_reason,
            figures=self._figures(),
        )

    def _failed(self, error: errors.ChainHubError, status: Status = "failed") -> Failed:
        return Failed(run_id=self.run.id, status=status, error=error, figures=self._figures())

    def _stopped(self) -> Failed:
        if self.stopped_as == "cancelled":
            return self._failed(errors.RunCancelled(), "cancelled")
        return self._failed(errors.RunInterrupted(), "interrupted")

    def _partial_output(self) -> Any:
        """What had been streamed when the run stopped short: text is kept, other kinds are not."""
        return encode("".join(self.text)) if self.text else None

    def _figures(self) -> Figures:
        usages = [call.usage for call in self.trace.calls if call.usage]
        costs = [call.cost_usd for call in self.trace.calls if call.cost_usd is not None]
        return Figures(
            input_tokens=sum(usage.input_tokens for usage in usages) if usages else None,
            output_tokens=sum(usage.output_tokens for usage in usages) if usages else None,
            # A sum that misses a part would be a wrong bill.
            cost_usd=sum(costs, Decimal()) if costs and len(costs) == len(self.trace.calls) else None,
            first_token_ms=self.first_token_ms,
            latency_ms=self._elapsed_ms(),
        )

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)


def _causes(error: BaseException) -> str:
    """The exceptions that led to this one, nearest first."""
    names, cause = [type(error).__name__], error.__cause__
    while cause is not None:
        names.append(type(cause).__name__)
        cause = cause.__cause__
    return " < ".join(names)


def _call_row(call: ModelCall) -> dict[str, Any]:
    return {
        "step": call.step,
        "provider": call.provider,
        "model": call.model,
        "attempts": call.attempts,
        "finish_reason": call.finish_reason,
        "input_tokens": call.usage.input_tokens if call.usage else None,
        "output_tokens": call.usage.output_tokens if call.usage else None,
        "cost_usd": str(call.cost_usd) if call.cost_usd is not None else None,
    }
