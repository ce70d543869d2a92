"""Writes the rows of runs; runs that start or end at about the same time share one write.

The end of a run is written before its event is sent. The start of a run that streams is written at once.
The start of any other run is written after START_DELAY_S; if it has ended by then, start and end are written
together. So ``kill -9`` can lose only a run that is younger than START_DELAY_S and of which no client has
received anything. While other runs are in progress, a write first waits for GATHER_S to include ends that
come in that time, because each write costs a trip to a thread and to the database.
"""

import asyncio
import logging
from contextvars import Context
from copy import copy
from uuid import UUID

from chains.actions.runs.settle import Row, write
from chains.models import Run
from concurrency.database import in_database_thread
from concurrency.loops import per_loop

logger = logging.getLogger(__name__)

START_DELAY_S = 0.02
GATHER_S = 0.003
# Pauses before each try to write the end of a run, because the database may be down for a while.
PAUSES_S = (0, 0.2, 1, 5)
MOST_AT_ONCE = 200


class Recorder:
    """One for each event loop. It does one write at a time; rows that come meanwhile join the next write."""

    def __init__(self) -> None:
        self._starting: dict[UUID, Run] = {}
        self._started: set[UUID] = set()
        self._due: dict[UUID, Row] = {}
        # For ``end``, which waits until its row is written.
        self._waiters: dict[UUID, asyncio.Future[None]] = {}
        self._writing: asyncio.Task[None] | None = None

    def start(self, run: Run, *, streams: bool) -> None:
        """Write the row of the run soon, at the latest with the run's end.

        A run that ``streams`` sends its id before its end, so its row is written at once.
        """
        if streams:
            self._add_start(run)
            return
        self._starting[run.pk] = run
        asyncio.get_running_loop().call_later(START_DELAY_S, self._start_is_due, run.pk)

    def started(self, run: Run) -> None:
        """Note that the row exists already."""
        self._started.add(run.pk)

    def _start_is_due(self, key: UUID) -> None:
        run = self._starting.pop(key, None)
        if run is not None:
            self._add_start(run)

    def _add_start(self, run: Run) -> None:
        # A copy, because the values of the run's end may be set before this row is written.
        self._add(Row(run=copy(run), ends=False))

    async def end(self, run: Run) -> None:
        """Return once the end is settled, or after several failed tries.

        After failed tries the sweep for lost runs ends it, because the heartbeat no longer includes it.
        """
        self._starting.pop(run.pk, None)
        for pause_s in PAUSES_S:
            await asyncio.sleep(pause_s)
            waiter = self._waiters[run.pk] = asyncio.get_running_loop().create_future()
            self._add(Row(run=run, ends=True))
            try:
                await waiter
                break
            except Exception:
                logger.exception("the end of run %s could not be recorded yet", run.pk)
        self._started.discard(run.pk)

    def _add(self, row: Row) -> None:
        self._due[row.run.pk] = row
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(
                self._write_all(), name="run recorder", context=Context()
            )

    async def _write_all(self) -> None:
        while self._due:
            if self._starting or len(self._started) > len(self._due):
                await asyncio.sleep(GATHER_S)
            rows = [self._due.pop(key) for key in list(self._due)[:MOST_AT_ONCE]]
            for row in rows:
                row.is_there = row.run.pk in self._started
            try:
                failed = await in_database_thread(write)(rows)
            except Exception as error:
                failed = dict.fromkeys((row.run.pk for row in rows), error)
            for row in rows:
                self._written(row, failed.get(row.run.pk))

    def _written(self, row: Row, error: Exception | None) -> None:
        key = row.run.pk
        if error is None:
            self._started.add(key)
        if not row.ends:
            if error is not None:
                logger.warning("the start of run %s was not recorded: %r", key, type(error))
            return
        waiter = self._waiters.pop(key)
        if waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


recorder = per_loop(Recorder)
