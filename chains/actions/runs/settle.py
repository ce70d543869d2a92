"""Settles runs: records the end of a run and everything that depends on it, in one transaction.

Whatever else must happen when a run ends (a charge, a turn of a conversation) belongs in ``settle``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from chains.models import Run
from chains.runtime.errors import RunInterrupted

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
    "cost_is_minimum",
    "first_token_ms",
    "latency_ms",
    "ended_at",
)
# The foreign keys of a row; one becomes null where its record is deleted.
REFERENCES = ("chain", "chain_version", "user", "key")


also_settled: list[Callable[[Sequence[Run]], None]] = []
"""What else happens once runs have ended, in the transaction that records their end.

Each function gets runs that have ended. It may get a run twice, so it replaces what it wrote before.
"""


@dataclass(kw_only=True)
class Row:
    """A row to be written: of a run that starts or, with ``ends``, of a run that has ended.

    ``is_there``: the row was written before, at the run's start.
    """

    run: Run
    ends: bool
    is_there: bool = False


def settle(ended: Sequence[Row]) -> None:
    """Record how runs ended, and everything that depends on it. Call it in a transaction; it may be repeated.

    The end replaces any status in the row, because only the process of a run knows how it ended. Another
    process may have marked the run as interrupted, because it saw no heartbeat. A row that is not there yet
    is inserted with its end by the caller.
    """
    if known := [row.run for row in ended if row.is_there]:
        _update_ends(known)
    for also in also_settled:
        also([row.run for row in ended])


def settle_lost(lost: QuerySet[Run]) -> int:
    """``settle`` for runs whose process has died: they are interrupted. Returns how many there were."""
    end = {
        "status": Run.Status.INTERRUPTED,
        "error_code": RunInterrupted.code,
        "error_message": RunInterrupted.message,
        "ended_at": timezone.now(),
    }
    if not also_settled:
        return lost.update(**end)
    with transaction.atomic():
        ids = list(lost.select_for_update().values_list("pk", flat=True))
        count = Run.objects.filter(pk__in=ids).update(**end)
        for also in also_settled:
            also(list(Run.objects.filter(pk__in=ids)))
    return count


def write(rows: Sequence[Row]) -> dict[UUID, Exception]:
    """Write starts and ends in one transaction or, where that fails, one by one.

    Returns the errors of the rows that failed, by run id.
    """
    try:
        if len(rows) == 1 and not rows[0].is_there and not (rows[0].ends and also_settled):
            # A single statement needs no transaction, which would add twice the cost of the statement.
            rows[0].run.save(force_insert=True)
            return {}
        with transaction.atomic():
            Run.objects.bulk_create([row.run for row in rows if not row.is_there])
            settle([row for row in rows if row.ends])
        return {}
    except Exception as error:
        if len(rows) == 1 and not isinstance(error, IntegrityError):
            return {rows[0].run.pk: error}
    failed: dict[UUID, Exception] = {}
    for row in rows:
        try:
            with transaction.atomic():
                if row.is_there:
                    settle([row])
                else:
                    _insert(row)
        except Exception as error:
            failed[row.run.pk] = error
    return failed


def _update_ends(runs: Sequence[Run]) -> None:
    """Does ``filter(pk=...).update(...)`` for each run, but without the cost of building that query."""
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


def _insert(row: Row) -> None:
    run = row.run
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        if Run.objects.filter(pk=run.pk).exists():
            # An earlier try wrote the row, but the database's reply was lost. It is the row of this run,
            # because ids that callers choose are claimed before.
            row.is_there = True
        else:
            # A record that the row refers to was deleted meanwhile.
            for name in REFERENCES:
                model: Any = Run._meta.get_field(name).related_model
                if not model._default_manager.filter(pk=getattr(run, f"{name}_id")).exists():
                    setattr(run, f"{name}_id", None)
            run.save(force_insert=True)
    if row.ends:
        settle([row])
