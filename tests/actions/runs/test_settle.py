"""The record of how runs ended: whole or not at all, and the same however often it is made."""

import pytest
from django.db import transaction

from chains.actions.runs.settle import Row, also_settled, settle, settle_lost, write
from chains.models import Run

pytestmark = pytest.mark.django_db(transaction=True)


def begun(**data) -> Run:
    return Run.objects.create(chain_slug="joke", source="rest", worker="test", **data)


def ended(run: Run, output: str = "done") -> Run:
    run.status, run.output, run.latency_ms = Run.Status.SUCCEEDED, output, 5
    return run


def told(run: Run) -> tuple:
    run.refresh_from_db()
    return run.status, run.output, run.latency_ms, run.error_code


def test_a_run_that_is_settled_again_ends_as_it_did():
    run = ended(begun())
    row = Row(run=run, ends=True, is_there=True)

    for _ in range(2):
        with transaction.atomic():
            settle([row])

    assert told(run) == ("succeeded", "done", 5, "")


def test_an_end_that_is_written_again_after_a_lost_answer_is_the_same():
    run = ended(Run(chain_slug="joke", source="rest", worker="test"))

    answers = [write([Row(run=run, ends=True)]) for _ in range(2)]

    assert answers == [{}, {}]
    assert told(run) == ("succeeded", "done", 5, "")


def test_a_run_that_was_taken_for_lost_ends_as_its_own_process_says():
    run = begun()
    assert settle_lost(Run.objects.filter(pk=run.pk)) == 1
    assert told(run)[0] == "interrupted"

    write([Row(run=ended(Run.objects.get(pk=run.pk)), ends=True, is_there=True)])

    assert told(run)[:2] == ("succeeded", "done")


def test_one_end_that_cannot_be_written_takes_no_other_along():
    good, bad = ended(begun()), ended(begun())
    bad.latency_ms = "no number"

    failed = write([Row(run=run, ends=True, is_there=True) for run in (good, bad)])

    assert list(failed) == [bad.pk]
    assert told(good)[0] == "succeeded"
    assert told(Run.objects.get(pk=bad.pk))[0] == "running"


# --- What else happens once a run has ended ----------------------------------------------------


@pytest.fixture
def settled():
    """The ids of runs in the order in which they are settled."""
    ids = []

    def note(runs):
        ids.extend(run.pk for run in runs)

    also_settled.append(note)
    yield ids
    also_settled.remove(note)


def test_every_run_that_ended_is_settled_however_its_row_is_written(settled):
    alone = ended(Run(chain_slug="joke", source="rest", worker="test"))
    together = [ended(begun()), ended(Run(chain_slug="joke", source="rest", worker="test"))]

    write([Row(run=alone, ends=True)])
    write([Row(run=together[0], ends=True, is_there=True), Row(run=together[1], ends=True)])

    assert settled == [alone.pk, *(run.pk for run in together)]


def test_a_run_that_begins_is_not_settled_yet(settled):
    write([Row(run=Run(chain_slug="joke", source="rest", worker="test"), ends=False)])

    assert settled == []


def test_lost_runs_are_settled_as_interrupted(settled):
    run = begun()

    settle_lost(Run.objects.filter(pk=run.pk))

    assert settled == [run.pk]
    assert told(run)[0] == "interrupted"


def test_an_end_is_not_recorded_where_what_belongs_to_it_fails(settled):
    run = ended(begun())

    def fail(runs):
        raise RuntimeError("no credit")

    also_settled.append(fail)
    try:
        failed = write([Row(run=run, ends=True, is_there=True)])
    finally:
        also_settled.remove(fail)

    assert list(failed) == [run.pk]
    assert told(Run.objects.get(pk=run.pk))[0] == "running"
