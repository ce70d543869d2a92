"""The one entry: every way in starts its runs here.

A run is owned by a task of its own, not by the request that asked for it: the task writes the
record of the end whatever becomes of the reader, and a reader that leaves cancels the task.
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID

from django.conf import settings

from chains.actions.metrics import count_stream
from chains.actions.runs.admit import Prepared, RunCall, claim_id, prepare, prepare_batch, resolve
from chains.actions.runs.owner import RunOwner
from chains.actions.runs.recorder import recorder
from chains.actions.runs.workers import Heartbeat
from chains.runtime import errors
from chains.runtime.events import Event, Failed, Figures, Finished, Started, Status
from chains.runtime.plans.base import Plan
from concurrency.database import in_database_thread

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run that succeeded, with its output as plain JSON data."""

    run_id: UUID
    output: Any
    started: Started
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class RunFailure:
    """One of a batch that failed; without a ``run_id`` it never ran."""

    run_id: UUID | None
    error: errors.ChainHubError


class RunStream:
    """A run that has started; iterate for its events, ``cancel`` to stop it.

    Iteration ends after Finished or Failed. Leaving early does not stop the run: call ``cancel``.
    """

    def __init__(self, owner: RunOwner, plan: Plan):
        self.run_id: UUID = owner.run.id
        self.started = Started(
            run_id=owner.run.id,
            chain=plan.chain_slug,
            version=plan.version,
            package=plan.package,
            prompts=plan.prompts,
            plan_digest=plan.digest,
        )
        self._state: Literal["new", "started", "ended"] = "new"
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(owner.drive(), name=f"run {owner.run.id}")
        # The loop itself keeps only weak references to its tasks.
        _streams[self.run_id] = self
        self._task.add_done_callback(self._over)
        if owner.execution.mode != "whole":
            count_stream(owner.run, 1)

    def _over(self, _: "asyncio.Task[None]") -> None:
        _streams.pop(self.run_id, None)
        if self._owner.execution.mode != "whole":
            count_stream(self._owner.run, -1)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event; waiting for it may be cancelled and taken up again."""
        if self._state == "ended":
            raise StopAsyncIteration
        if self._state == "new":
            self._state = "started"
            return self.started
        return self._given(await self._owner.events.get())

    def waiting(self) -> list[Event]:
        """The events that are there already, for a reader that has just been given one."""
        events = []
        while self._state == "started" and self._owner.events.any_waiting:
            events.append(self._given(self._owner.events.get_nowait()))
        return events

    def _given(self, event: Event) -> Event:
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
    """Check and resolve the run, have its start recorded, and start the task that owns it.

    Raises ChainNotFound, StepsHidden, InvalidSpec, InvalidInput, ShuttingDown: then nothing is
    recorded and nothing ran.
    """
    _check_open()
    return await _shielded(_start(call))


def _check_open() -> None:
    """At every door, and only there: a batch that was let in goes on to its end."""
    if _stopping.is_set():
        raise errors.ShuttingDown


async def _shielded(starting: Coroutine[Any, Any, RunStream]) -> RunStream:
    task = asyncio.get_running_loop().create_task(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # The row may be written this very moment: a run that starts is a run that is ended.
        task.add_done_callback(_cancel_started)
        raise


async def _start(call: RunCall) -> RunStream:
    return await _start_prepared(await prepare(call))


async def _start_prepared(prepared: Prepared) -> RunStream:
    try:
        prepared = await prepared.personalised()
    except errors.ChainHubError:
        raise
    except Exception:
        logger.exception("the code of chain %s failed for a request", prepared.plan.chain_slug)
        raise errors.ChainHubError() from None
    run = prepared.run()
    if prepared.client_config.run_id is None:
        recorder().start(run, streams=prepared.call.mode != "whole")
    else:
        await in_database_thread(claim_id)(run)
        recorder().started(run)
    Heartbeat.ensure(lambda: list(_streams))
    return RunStream(RunOwner(prepared, run), prepared.plan)


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
    _check_open()
    outcome = await _collected(_start(call))
    if isinstance(outcome, RunFailure):
        raise outcome.error
    return outcome


async def _collected(starting: Coroutine[Any, Any, RunStream]) -> RunResult | RunFailure:
    stream = await _shielded(starting)
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
                return RunFailure(run_id=event.run_id, error=event.error)
    finally:
        # After an end this does nothing; where the caller left, it stops the provider's call.
        stream.cancel()
    raise AssertionError("A run ends with Finished or Failed.")


async def run_batch(
    any_call: RunCall, calls: Sequence[RunCall], *, partial: bool = False
) -> list[RunResult | RunFailure]:
    """Results in the order of ``calls``, a few at a time.

    All of them are checked before one runs. Unless ``partial``, the first failure cancels the rest
    and is raised: InvalidInput, its ``loc`` beginning with the index, or the run's own error.
    """
    _check_open()
    prepared = await in_database_thread(prepare_batch)(any_call, calls)
    places = asyncio.Semaphore(settings.BATCH_CONCURRENCY)

    async def one(index: int, ready: Prepared | errors.InvalidInput) -> RunResult | RunFailure:
        if isinstance(ready, errors.InvalidInput):
            return RunFailure(run_id=None, error=ready)
        async with places:
            try:
                outcome = await _collected(_start_prepared(ready))
            except errors.InvalidInput as error:
                outcome = RunFailure(run_id=None, error=error.inside(index))
            except errors.ChainHubError as error:
                outcome = RunFailure(run_id=None, error=error)
        if isinstance(outcome, RunFailure) and not partial:
            raise outcome.error
        return outcome

    if not partial:
        for ready in prepared:
            if isinstance(ready, errors.InvalidInput):
                raise ready
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(*ready)) for ready in enumerate(prepared)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


aresolve = in_database_thread(resolve)
