"""Starts runs; every way in starts its runs here.

A run is owned by a task of its own, not by the request. A reader that leaves cancels the task. The task
records the end of the run in any case.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from chains.actions.runs.admit import Checked, admit, check, check_batch
from chains.actions.runs.call import RunCall
from chains.actions.runs.owner import RunOwner
from chains.actions.runs.stream import RunStream, under_way
from chains.actions.runs.workers import Heartbeat
from chains.runtime import errors
from chains.runtime.events import Failed, Figures, Finished, Started


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run that succeeded; ``output`` is plain JSON data."""

    run_id: UUID
    output: Any
    started: Started
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class RunFailure:
    """A run that failed; ``run_id`` is None where it was not admitted and so never ran."""

    run_id: UUID | None
    error: errors.ChainHubError


_stopping = threading.Event()


async def start_run(call: RunCall) -> RunStream:
    """Admit the run, record its start, and start the task that owns it.

    Raises ChainNotFound, StepsHidden, InvalidSpec, InvalidInput, ShuttingDown. In these cases nothing is
    recorded and nothing ran.
    """
    _check_open()
    return await _shielded(_start(call))


def _check_open() -> None:
    """Raises ShuttingDown. Checked once for each call, so that a batch that was accepted runs to its end."""
    if _stopping.is_set():
        raise errors.ShuttingDown


async def _shielded(starting: Coroutine[Any, Any, RunStream]) -> RunStream:
    task = asyncio.get_running_loop().create_task(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # The row of the run may be written already, so the run must start, and then be cancelled.
        task.add_done_callback(_cancel_started)
        raise


async def _start(call: RunCall) -> RunStream:
    return await _begin(await check(call))


async def _begin(checked: Checked) -> RunStream:
    admitted = await admit(checked)
    Heartbeat.ensure(lambda: list(under_way))
    return RunStream(RunOwner(admitted), admitted.plan)


def _cancel_started(starting: asyncio.Task[RunStream]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().cancel()


def take_no_more_runs() -> None:
    """From now on this process starts no new runs; it only finishes those that it has started."""
    _stopping.set()


def any_under_way() -> bool:
    """Whether any run is in progress in this process."""
    return bool(under_way)


def interrupt_runs() -> list[RunStream]:
    """Stop every run of this process with the status ``interrupted``.

    Await ``ended`` of each stream to wait until that is recorded.
    """
    streams = list(under_way.values())
    for stream in streams:
        stream.cancel("interrupted")
    return streams


async def run_chain(call: RunCall) -> RunResult:
    """Start a run and return its result; raises the run's own error, which names the run.

    If cancelled, it cancels the run.
    """
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
                event.error.run = stream.started
                return RunFailure(run_id=event.run_id, error=event.error)
    finally:
        # If the caller has left, this stops the call to the provider. After the end it has no effect.
        stream.cancel()
    raise AssertionError("A run ends with Finished or Failed.")


async def run_batch(
    any_call: RunCall, calls: Sequence[RunCall], *, partial: bool = False
) -> list[RunResult | RunFailure]:
    """Run ``calls``, at most ``BATCH_CONCURRENCY`` at once; returns the results in the order of ``calls``.

    All calls are admitted before the first one runs. Unless ``partial``, the first failure cancels the
    others and is raised: InvalidInput, whose ``loc`` starts with the index, or the run's own error.
    """
    _check_open()
    checked = await check_batch(any_call, calls)
    places = asyncio.Semaphore(settings.BATCH_CONCURRENCY)

    async def one(index: int, ready: Checked | errors.InvalidInput) -> RunResult | RunFailure:
        if isinstance(ready, errors.InvalidInput):
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
        for ready in checked:
            if isinstance(ready, errors.InvalidInput):
                raise ready
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(*ready)) for ready in enumerate(checked)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
