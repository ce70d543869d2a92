"""Processes that die, processes that are told to stop, and several that write at once."""

import concurrent.futures
import http.client
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from chains.models import Run
from tests.conftest import ROOT, Server, database_url, wait_until
from tests.faults.conftest import ask
from tests.upstream import answers, held, silent

pytestmark = pytest.mark.django_db(transaction=True)

STREAM, INVOKE = "/chains/poem/stream", "/chains/poem/invoke"
# It says "one", and no more.
UNFINISHED = held("one two")


def open_stream(server: Server, key: str) -> http.client.HTTPResponse:
    """A stream whose first word has arrived."""
    response = ask(server, key, STREAM)
    assert read_until(response, "data") == '"one"'
    return response


def read_event(response: http.client.HTTPResponse) -> tuple[str, str]:
    name = response.readline().decode().strip().removeprefix("event: ")
    data = response.readline().decode().strip().removeprefix("data: ")
    response.readline()
    return name, data


def read_until(response: http.client.HTTPResponse, word: str) -> str:
    """The data of the first event that is called so."""
    while True:
        name, data = read_event(response)
        if name == word:
            return data
        assert name, "the stream ended before"


def test_a_run_of_a_killed_process_is_interrupted_at_the_next_start(start, alice_key, poem, upstream):
    upstream.script(UNFINISHED)
    first = start()
    # Kept, because a stream that nobody reads any more is closed, and so its run cancelled.
    response = open_stream(first, alice_key)
    wait_until(Run.objects.exists)

    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(10)
    run = Run.objects.get()
    assert (run.status, run.input) == ("running", {"topic": "word"})
    response.close()

    start()
    run.refresh_from_db()
    assert (run.status, run.error_code) == ("interrupted", "interrupted")
    assert run.ended_at is not None


def test_a_second_server_leaves_the_first_ones_runs_alone(start, alice_key, poem, openai, upstream):
    # The stream stands still for as long as a server takes to start on a busy machine.
    openai.chunk_timeout_s = 300
    openai.save()
    released = threading.Event()
    upstream.script(held("one two", until=released))
    response = open_stream(start(), alice_key)

    start()

    assert Run.objects.get().status == "running"
    released.set()
    assert read_until(response, "data") == '" two"'
    read_until(response, "end")
    assert Run.objects.get().status == "succeeded"


def test_a_server_that_is_told_to_stop_says_so_and_records_it(start, alice_key, poem, upstream):
    upstream.script(UNFINISHED)
    server = start(DRAIN_SECONDS="0.2")
    response = open_stream(server, alice_key)

    server.process.terminate()
    error = json.loads(read_until(response, "error"))

    assert (error["status_code"], error["code"]) == (503, "interrupted")
    assert response.read().strip() == b""
    assert server.process.wait(15) == 0
    run = Run.objects.get()
    assert (run.status, run.error_code, run.output) == ("interrupted", "interrupted", "one")
    assert upstream.wait_for(lambda: upstream.disconnects == 1)


def test_an_invoke_is_told_as_well(start, alice_key, poem, upstream):
    upstream.script(silent())
    server = start(DRAIN_SECONDS="0.2")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, server, alice_key, INVOKE)
        assert upstream.wait_for(lambda: len(upstream.requests) == 1)
        server.process.terminate()
        response = asked.result(15)

    assert (response.status, json.loads(response.read())["code"]) == (503, "interrupted")
    assert server.process.wait(15) == 0
    assert Run.objects.get().status == "interrupted"


def test_a_client_that_is_gone_cancels_its_run(server, alice_key, poem, upstream):
    upstream.script(UNFINISHED)
    response = open_stream(server, alice_key)

    response.close()

    assert upstream.wait_for(lambda: upstream.disconnects == 1)
    wait_until(lambda: Run.objects.filter(status="cancelled").count() == 1)


# Forked once everything is imported, which takes far longer than the work.
WRITERS = """
import asyncio, os, sys
import django
django.setup()
from accounts.callers import Caller
from accounts.models import User
from chains.actions.runs.call import RunCall
from chains.doors import DOORS
from chains.actions.runs import run_chain

async def write(topic):
    caller = Caller(user=await User.objects.aget(username="alice"), key=None)
    call = RunCall(slug="joke", caller=caller, input={"topic": topic}, door=DOORS["invoke"])
    for _ in range(5):
        await asyncio.gather(*(run_chain(call) for _ in range(5)))

for i in range(4):
    if os.fork() == 0:
        asyncio.run(write(f"writer {i}"))
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in range(4)]))
"""


def test_four_processes_that_write_at_once_lose_nothing(alice, joke):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "chainhub.settings",
        "DEBUG": "on",
        "DATABASE_URL": database_url(),
        "DATABASE_POOL_SIZE": "4",
    }
    writers = subprocess.run(
        [sys.executable, "-c", WRITERS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (writers.returncode, "locked" in writers.stderr) == (0, False), writers.stderr
    assert Run.objects.filter(status="succeeded").count() == 100
    for i in range(4):
        assert Run.objects.filter(output=f"writer {i}").count() == 25


def test_what_was_left_unread_never_reaches_another_client(server, alice_key, bob_key, poem, upstream):
    upstream.script(UNFINISHED, answers("for bob"))
    left = open_stream(server, alice_key)
    left.close()
    assert upstream.wait_for(lambda: upstream.disconnects == 1)

    assert json.loads(ask(server, bob_key, INVOKE).read())["output"] == "for bob"
