"""The one entry: every way in starts its runs here.

A run is owned by a task of its own, not by the request that asked for it: the task writes the
record of the end whatever becomes of the reader, and a reader that leaves cancels the task.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from chains.actions.runs.admit import Admitted, admit, admit_batch, reserve
from chains.actions.runs.call import RunCall
from chains.actions.runs.owner import RunOwner
from chains.actions.runs.stream import RunStream, under_way
from chains.actions.runs.workers import Heartbeat
from chains.runtime import errors
from chains.runtime.events import Failed, Figures, Finished, Started


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
    return await _begin(await admit(call))


async def _begin(admitted: Admitted) -> RunStream:
    run = await reserve(admitted)
    Heartbeat.ensure(lambda: list(under_way))
    return RunStream(RunOwner(admitted, run), admitted.plan)


def _cancel_started(starting: asyncio.Task[RunStream]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().cancel()


def take_no_more_runs() -> None:
    """From now on this process only finishes what it has begun."""
    _stopping.set()


def any_under_way() -> bool:
    """Whether this process runs anything now."""
    return bool(under_way)


def interrupt_runs() -> list[RunStream]:
    """Stop every run of this process as interrupted; each has ``ended`` when that is recorded."""
    streams = list(under_way.values())
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
    admitted = await admit_batch(any_call, calls)
    places = asyncio.Semaphore(settings.BATCH_CONCURRENCY)

    async def one(index: int, ready: Admitted | errors.ChainHubError) -> RunResult | RunFailure:
        if isinstance(ready, errors.ChainHubError):
            return RunFailure(run_id=None, error=ready)
        async with places:
            try:
                outcome = await _collected(_begin(ready))
            except errors.InvalidInput as error:
                outcome = RunFailure(run_id=None, error=error.inside(index))
            except errors.ChainHubError as error:
                outcome = RunFailure(run_id=None, error=error)
        if isinstance(outcome, RunFailure) and not partial:
            raise outcome.error
        return outcome

    if not partial:
        for ready in admitted:
            if isinstance(ready, errors.ChainHubError):
                raise ready
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(*ready)) for ready in enumerate(admitted)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
