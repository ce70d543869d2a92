"""A run in progress, in the process that executes it."""

import asyncio
from typing import Literal, Self
from uuid import UUID

from chains.actions.metrics import count_stream
from chains.actions.runs.owner import RunOwner
from chains.runtime.events import Event, Failed, Finished, Started, Status
from chains.runtime.plans.base import Plan

under_way: "dict[UUID, RunStream]" = {}
"""The runs that are in progress in this process, by id."""


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
        # This reference keeps the task alive: the event loop has only weak references to tasks.
        under_way[self.run_id] = self
        self._task.add_done_callback(self._over)
        if owner.execution.mode != "whole":
            count_stream(owner.run, 1)

    def _over(self, _: "asyncio.Task[None]") -> None:
        under_way.pop(self.run_id, None)
        if self._owner.execution.mode != "whole":
            count_stream(self._owner.run, -1)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. The wait may be cancelled and repeated; no event is lost."""
        if self._state == "ended":
            raise StopAsyncIteration
        if self._state == "new":
            self._state = "started"
            return self.started
        return self._given(await self._owner.events.get())

    def waiting(self) -> list[Event]:
        """The events that are queued already, so that a reader can send several at once."""
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
