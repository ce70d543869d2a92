"""Whose runs are alive, and the end of those whose process died."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from chains.actions.runs.workers import beat, host, interrupt_lost_runs, worker_id
from chains.models import Run
from chains.models.runs import LOST_AFTER_S

HOST = host()


def add_run(worker: str = "", *, silent_s: float = 0, **data) -> Run:
    seen_at = timezone.now() - timedelta(seconds=silent_s)
    defaults = {"chain_slug": "joke", "chain_version_number": 1, "plan_digest": "0", "input": {}}
    return Run.objects.create(worker=worker or worker_id(), seen_at=seen_at, **(defaults | data))


def status(run: Run) -> str:
    run.refresh_from_db()
    return run.status


@pytest.fixture
def gone() -> str:
    """The worker of a process that has ended."""
    script = "import os; print(os.getpid(), open('/proc/self/stat').read().rpartition(')')[2].split()[19])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pid, start = done.stdout.split()
    return f"{HOST}/{pid}/{start}"


def test_a_worker_is_named_by_host_process_and_start():
    host, pid, start = worker_id().split("/")

    assert (host, int(pid)) == (HOST, os.getpid())
    assert start.isdigit()


def test_a_run_of_this_very_process_is_left_alone(db):
    run = add_run()

    assert interrupt_lost_runs() == 0
    assert status(run) == "running"


def test_a_run_of_another_living_process_here_is_left_alone(db):
    start = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[19]
    run = add_run(f"{HOST}/{os.getppid()}/{start}")

    assert interrupt_lost_runs() == 0
    assert status(run) == "running"


def test_a_run_of_a_process_that_ended_is_interrupted(db, gone):
    run = add_run(gone, output=None)

    assert interrupt_lost_runs() == 1

    assert status(run) == "interrupted"
    assert (run.error_code, run.error_message) == (
        "interrupted",
        "The server stopped before the run had ended.",
    )
    assert run.ended_at is not None


def test_a_pid_that_was_given_away_again_is_another_process(db):
    run = add_run(f"{HOST}/{os.getpid()}/1")

    interrupt_lost_runs()

    assert status(run) == "interrupted"


def test_a_run_of_another_host_is_left_alone_while_it_is_heard_of(db):
    run = add_run("elsewhere/1/1", silent_s=LOST_AFTER_S - 5)

    assert interrupt_lost_runs() == 0
    assert status(run) == "running"


def test_a_run_of_another_host_is_interrupted_after_a_minute_of_silence(db):
    run = add_run("elsewhere/1/1", silent_s=LOST_AFTER_S + 1)

    assert interrupt_lost_runs() == 1
    assert status(run) == "interrupted"


@pytest.mark.parametrize("ended", ["succeeded", "failed", "cancelled", "interrupted"])
def test_a_run_that_has_ended_stays_as_it_is(db, gone, ended):
    run = add_run(gone, status=ended, silent_s=3600, error_code="x")

    assert interrupt_lost_runs() == 0
    assert (status(run), run.error_code) == (ended, "x")


def test_a_beat_keeps_alive_what_runs_and_finds_what_does_not(db, gone):
    alive, lost, over = add_run(silent_s=50), add_run(gone), add_run(status="succeeded", silent_s=50)

    beat([alive.pk, over.pk])

    assert (status(alive), status(lost), status(over)) == ("running", "interrupted", "succeeded")
    assert timezone.now() - alive.seen_at < timedelta(seconds=5)
    assert timezone.now() - over.seen_at > timedelta(seconds=40)


def test_a_run_that_its_process_forgot_is_found(db):
    run = add_run(silent_s=LOST_AFTER_S + 1)

    beat([])

    assert status(run) == "interrupted"


@pytest.mark.parametrize("worker", ["", "x", f"{HOST}/", f"{HOST}/1", f"{HOST}/1/", "a/b/c/d"])
def test_a_worker_that_cannot_be_read_is_believed_to_live(db, worker):
    run = Run.objects.get(pk=add_run("x").pk)
    Run.objects.filter(pk=run.pk).update(worker=worker)

    assert interrupt_lost_runs() == 0
    assert status(run) == "running"


def test_nothing_to_do_is_one_short_look(db, django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        assert interrupt_lost_runs() == 0
