"""The one entry: every way in starts its runs here.

A run is owned by a task of its own, not by the request that asked for it: the task writes the
record of the end whatever becomes of the reader, and a reader that leaves cancels the task.
"""

import asyncio
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID

from django.conf import settings

from accounts.auth import Caller
from accounts.database import in_database_thread
from chains.actions.owner import RunOwner
from chains.actions.resolve import find_version, plan_for
from chains.actions.workers import Heartbeat, worker_id
from chains.models import ChainVersion, Run
from chains.runtime import errors
from chains.runtime.engine import check_input
from chains.runtime.events import Event, Failed, Figures, Finished, Started, Status
from chains.runtime.plan import Plan
from chains.runtime.providers import load_kinds
from chains.runtime.spec import PRODUCTION


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

    def __init__(self, owner: RunOwner, plan: Plan):
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


def _prepare(call: RunCall) -> tuple[RunOwner, Plan]:
    """One trip to the database's thread for all that comes before the provider."""
    version, plan = _resolve(call)
    value = check_input(plan, call.input)
    load_kinds(target.provider.kind for step in plan.steps for target in step.targets)
    run = _record_start(call, version, plan, value)
    return RunOwner(plan=plan, value=value, run=run, streaming=call.streaming), plan


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
