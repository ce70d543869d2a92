"""Writes the rows of runs, of many runs in one statement where many begin and end at once.

The end of a run is written before it is told. The start of a run is written at once if it streams, else
START_DELAY_S later, unless it has ended by then and is written whole: what ``kill -9`` can lose is a run
that is younger than that, and of which nobody has heard. While others run, a write waits for GATHER_S,
to take along what ends meanwhile: each costs a trip to a thread and to the database.
"""

import asyncio
import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from chains.models import Run
from concurrency.database import in_database_thread
from concurrency.loops import per_loop

logger = logging.getLogger(__name__)

START_DELAY_S = 0.02
GATHER_S = 0.003
# Before each try to write the end of a run: the database may not answer for a while.
PAUSES_S = (0, 0.2, 1, 5)
MOST_AT_ONCE = 200
END_FIELDS = (
    "status",
    "output",
    "error_code",
    "error_message",
    "finish_reason",
    "calls",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "first_token_ms",
    "latency_ms",
    "ended_at",
)
# What a row refers to, and does without once that is deleted.
REFERENCES = ("chain", "chain_version", "user", "key")


@dataclass(kw_only=True)
class _Entry:
    """A row to be written; ``waiter`` is told once it is, ``is_there`` where its start was written before."""

    run: Run
    is_there: bool = False
    waiter: "asyncio.Future[None] | None" = None


class Recorder:
    """One for each event loop; one write is under way at a time, and takes all that has come meanwhile."""

    def __init__(self) -> None:
        self._starting: dict[UUID, Run] = {}
        self._started: set[UUID] = set()
        self._due: dict[UUID, _Entry] = {}
        self._writing: asyncio.Task[None] | None = None

    def start(self, run: Run, *, streams: bool) -> None:
        """See that the row is there soon, and at the latest with the end of the run.

        A run that ``streams`` shows itself before its end, so it is written at once.
        """
        if streams:
            self._add_start(run)
            return
        self._starting[run.pk] = run
        asyncio.get_running_loop().call_later(START_DELAY_S, self._start_is_due, run.pk)

    def started(self, run: Run) -> None:
        """The row is there already."""
        self._started.add(run.pk)

    def _start_is_due(self, key: UUID) -> None:
        run = self._starting.pop(key, None)
        if run is not None:
            self._add_start(run)

    def _add_start(self, run: Run) -> None:
        # As it is now: by the time that it is written, its end may have been noted.
        self._add(_Entry(run=copy(run)))

    async def end(self, run: Run) -> None:
        """Return once the whole row is written, or after several tries that failed.

        Then the sweep for lost runs finds it, as the heartbeat no longer names it.
        """
        self._starting.pop(run.pk, None)
        for pause_s in PAUSES_S:
            await asyncio.sleep(pause_s)
            waiter = asyncio.get_running_loop().create_future()
            self._add(_Entry(run=run, waiter=waiter))
            try:
                await waiter
                break
            except Exception:
                logger.exception("the end of run %s could not be recorded yet", run.pk)
        self._started.discard(run.pk)

    def _add(self, entry: _Entry) -> None:
        self._due[entry.run.pk] = entry
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_all(), name="run recorder")

    async def _write_all(self) -> None:
        while self._due:
            if self._starting or len(self._started) > len(self._due):
                await asyncio.sleep(GATHER_S)
            entries = [self._due.pop(key) for key in list(self._due)[:MOST_AT_ONCE]]
            for entry in entries:
                entry.is_there = entry.run.pk in self._started
            try:
                failed = await _write(entries)
            except Exception as error:
                failed = dict.fromkeys((entry.run.pk for entry in entries), error)
            for entry in entries:
                self._written(entry, failed.get(entry.run.pk))

    def _written(self, entry: _Entry, error: Exception | None) -> None:
        if error is None:
            self._started.add(entry.run.pk)
        if entry.waiter is None:
            if error is not None:
                logger.warning("the start of run %s was not recorded: %r", entry.run.pk, type(error))
        elif not entry.waiter.done():
            if error is None:
                entry.waiter.set_result(None)
            else:
                entry.waiter.set_exception(error)


recorder = per_loop(Recorder)


@in_database_thread
def _write(entries: Sequence[_Entry]) -> dict[UUID, Exception]:
    """In one transaction, or where that fails one by one; the errors of those that could not be written."""
    try:
        if len(entries) == 1 and not entries[0].is_there:
            # A statement by itself needs no transaction around it, which would cost twice as much again.
            entries[0].run.save(force_insert=True)
            return {}
        with transaction.atomic():
            Run.objects.bulk_create([entry.run for entry in entries if not entry.is_there])
            if known := [entry.run for entry in entries if entry.is_there]:
                _complete(known)
        return {}
    except Exception as error:
        if len(entries) == 1 and not isinstance(error, IntegrityError):
            return {entries[0].run.pk: error}
    failed: dict[UUID, Exception] = {}
    for entry in entries:
        try:
            if entry.is_there:
                _complete([entry.run])
            else:
                _insert(entry)
        except Exception as error:
            failed[entry.run.pk] = error
    return failed


def _complete(runs: Sequence[Run]) -> None:
    """What ``filter(pk=...).update(...)`` does for each; to build that query costs most.

    Whatever the row says by now: nobody else knows how the run ended, even where others have taken it for
    lost because nothing was heard of it.
    """
    fields: list[Any] = [Run._meta.get_field(name) for name in (*END_FIELDS, "id")]
    columns = [connection.ops.quote_name(field.column) for field in fields]
    assigned = ", ".join(f"{column} = %s" for column in columns[:-1])
    table = connection.ops.quote_name(Run._meta.db_table)
    sql = f"UPDATE {table} SET {assigned} WHERE {columns[-1]} = %s"  # noqa: S608 our own names
    rows = [[*(getattr(run, name) for name in END_FIELDS), run.pk] for run in runs]
    with connection.cursor() as cursor:
        cursor.executemany(
            sql,
            [
                [field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True)]
                for row in rows
            ],
        )


def _insert(entry: _Entry) -> None:
    run = entry.run
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        if Run.objects.filter(pk=run.pk).exists():
            # Written before, when the database's answer was lost; ids of callers were claimed by then.
            if entry.waiter is not None:
                _complete([run])
            return
        # Something that it refers to was deleted meanwhile.
        for name in REFERENCES:
            model: Any = Run._meta.get_field(name).related_model
            if not model._default_manager.filter(pk=getattr(run, f"{name}_id")).exists():
                setattr(run, f"{name}_id", None)
        run.save(force_insert=True)
