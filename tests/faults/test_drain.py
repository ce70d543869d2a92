"""Processes that are told to stop: what runs may finish, what does not is told so and recorded."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from chainhub.server.signals import SAME_S
from chains.models import Run
from tests.conftest import ROOT, Server, add_chain, add_prompt, database_url, step, wait_until
from tests.faults.conftest import ask, connection_to, open_socket

pytestmark = pytest.mark.django_db(transaction=True)

ENDLESS = "/chains/endless/stream"
WORDS = 60
STREAMS = 50


@pytest.fixture
def slow(demo):
    """Six seconds, word by word."""
    add_prompt("slow")
    return add_chain("slow", step("slow", extra={"delay_ms": 100, "words": WORDS}))


def open_streams(server: Server, key: str, chain: str) -> list[http.client.HTTPResponse]:
    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        return list(pool.map(lambda _: ask(server, key, f"/chains/{chain}/stream"), range(STREAMS)))


def start_run(client: ClientConnection) -> None:
    client.send(json.dumps({"type": "start", "input": {"topic": "word"}}))
    assert json.loads(client.recv(timeout=5))["type"] == "started"


def messages_of(client: ClientConnection) -> tuple[list[dict], int]:
    """Everything up to the close, and its code."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(client.recv(timeout=15)))
    return messages, client.close_code


def test_fifty_streams_end_whole(start, alice, alice_key, slow):
    server = start()
    streams = open_streams(server, alice_key, "slow")
    client = open_socket(server, alice, "slow")
    start_run(client)
    wait_until(lambda: Run.objects.running().count() == STREAMS + 1)

    server.process.terminate()
    bodies = [stream.read().decode() for stream in streams]
    messages, code = messages_of(client)

    assert {body.count("event: data") for body in bodies} == {WORDS}
    assert all(body.endswith("event: end\r\n\r\n") for body in bodies)
    assert (messages[-1]["type"], code) == ("finished", 1012)
    assert server.process.wait(5) == 0
    assert Run.objects.filter(status="succeeded").count() == STREAMS + 1


def test_a_batch_ends_whole(start, alice_key, demo):
    """Also what of it has not begun yet: eight run at a time."""
    add_prompt("slow")
    add_chain("slow", step("slow", extra={"delay_ms": 100, "words": 20}))
    server = start()
    connection = connection_to(server)
    headers = {"Authorization": f"Bearer {alice_key}"}
    connection.request(
        "POST", "/chains/slow/batch", json.dumps({"inputs": [{"topic": "word"}] * 12}), headers
    )
    wait_until(lambda: Run.objects.running().count() == 8)

    server.process.terminate()
    response = connection.getresponse()

    assert (response.status, len(json.loads(response.read())["output"])) == (200, 12)
    assert server.process.wait(5) == 0
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}


def test_a_large_answer_of_code_that_fits_no_message_is_told(start, alice):
    client = open_socket(start(CHAINHUB_RUNNABLES="tests.faults.runnables"), alice, "large")
    for _ in range(2):
        start_run(client)
        messages = [json.loads(client.recv(timeout=10))]
        while messages[-1]["type"] not in ("error", "finished", "failed"):
            messages.append(json.loads(client.recv(timeout=10)))
        assert (messages[-1]["type"], messages[-1]["code"]) == ("error", "internal_error")


def test_code_that_does_not_come_back_does_not_keep_the_process(start, alice_key):
    server = start(CHAINHUB_RUNNABLES="tests.faults.runnables", DRAIN_SECONDS="0.5")
    stream = ask(server, alice_key, "/chains/stuck/stream")

    server.process.terminate()

    assert server.process.wait(6) == 0
    assert stream.read().decode().count("event: error") == 1
    assert Run.objects.get().status == "interrupted"


def test_endless_runs_are_told_and_recorded_and_the_process_ends_in_time(start, alice, alice_key, endless):
    server = start(DRAIN_SECONDS="1")
    streams = open_streams(server, alice_key, "endless")
    client = open_socket(server, alice, "endless")
    start_run(client)

    began = time.monotonic()
    server.process.terminate()
    bodies = [stream.read().decode() for stream in streams]
    messages, code = messages_of(client)

    assert server.process.wait(5) == 0
    assert 1 < time.monotonic() - began < 6
    for body in bodies:
        name, data = body.removesuffix("\r\n\r\n").split("\r\n")[-2:]
        assert name == "event: error"
        error = json.loads(data.removeprefix("data: "))
        assert (error["status_code"], error["code"]) == (503, "interrupted")
    assert (messages[-1]["type"], messages[-1]["code"], code) == ("failed", "interrupted", 1012)
    assert set(Run.objects.values_list("status", "error_code")) == {("interrupted", "interrupted")}


def test_while_it_drains_it_is_not_ready_and_takes_nobody_new(start, alice_key, endless):
    server = start(DRAIN_SECONDS="3")
    kept = [connection_to(server) for _ in range(3)]
    for connection in kept:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    stream = ask(server, alice_key, ENDLESS)

    server.process.terminate()
    wait_until(lambda: refuses(server), seconds=2)

    answers = [get(kept[0], "/readyz"), get(kept[1], "/healthz"), get(kept[2], "/ws", Upgrade="websocket")]
    assert [(status, close) for status, close, _ in answers] == [
        (503, "close"),
        (200, "close"),
        (503, "close"),
    ]
    assert [json.loads(body).get("status") for _, _, body in answers] == ["draining", "alive", None]
    assert json.loads(answers[2][2])["code"] == "shutting_down"
    assert stream.read().decode().count("event: error") == 1
    assert server.process.wait(5) == 0


def test_while_it_drains_an_open_socket_starts_no_run(start, alice, alice_key, endless):
    server = start(DRAIN_SECONDS="2")
    stream, client = ask(server, alice_key, ENDLESS), open_socket(server, alice, "endless")
    wait_until(Run.objects.exists)

    server.process.terminate()
    wait_until(lambda: refuses(server), seconds=2)
    client.send(json.dumps({"type": "start", "input": {"topic": "word"}}))

    answer = json.loads(client.recv(timeout=5))
    assert (answer["type"], answer["code"]) == ("error", "shutting_down")
    assert Run.objects.count() == 1
    assert stream.read().decode().count("event: error") == 1
    assert server.process.wait(5) == 0


def refuses(server: Server) -> bool:
    try:
        connection_to(server).connect()
    except ConnectionRefusedError:
        return True
    return False


def get(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, str | None, bytes]:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.getheader("Connection"), response.read()


def test_without_runs_it_ends_at_once_whoever_is_connected(start, alice, slow):
    server = start()
    kept = connection_to(server)
    assert get(kept, "/healthz")[0] == 200
    half = socket.create_connection(kept.sock.getpeername())
    client = open_socket(server, alice, "slow")

    began = time.monotonic()
    server.process.send_signal(signal.SIGINT)

    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 3
    assert messages_of(client) == ([], 1012)
    half.close()


def test_a_second_signal_does_not_wait(start, alice_key, endless):
    server = start()
    stream = ask(server, alice_key, ENDLESS)

    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: refuses(server), seconds=2)
    time.sleep(SAME_S)
    server.process.send_signal(signal.SIGINT)
    began = time.monotonic()

    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 4
    assert stream.read().decode().count("event: error") == 1
    assert Run.objects.get().status == "interrupted"


GROUP_SIGNALS = {
    "SIGTERM": [signal.SIGTERM],
    "SIGINT twice": [signal.SIGINT, signal.SIGINT],
    # To a process that is busy meanwhile.
    "both at once": [signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT],
}


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("numbers", GROUP_SIGNALS.values(), ids=GROUP_SIGNALS)
def test_signals_to_the_whole_group_leave_no_traceback(start, processes, numbers):
    server = start(process_group=0, WEB_CONCURRENCY=processes)

    for number in numbers:
        os.killpg(server.process.pid, number)

    assert server.process.wait(10) == 0
    assert "Stopping: " in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_signal_that_arrives_twice_at_once_hurries_nothing(start, alice_key, demo, processes):
    """As from make, which passes on what the whole group has got."""
    add_prompt("slow")
    add_chain("slow", step("slow", extra={"delay_ms": 100, "words": 20}))
    server = start(process_group=0, WEB_CONCURRENCY=processes)
    stream = ask(server, alice_key, "/chains/slow/stream")

    for _ in range(2):
        os.killpg(server.process.pid, signal.SIGTERM)
        time.sleep(0.1)

    assert stream.read().decode().endswith("event: end\r\n\r\n")
    assert server.process.wait(10) == 0


def test_a_port_that_is_taken_is_an_error():
    variables = {**os.environ, "DEBUG": "on", "DATABASE_URL": database_url()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(taken.getsockname()[1])],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            timeout=60,
            check=False,
        )

    assert (second.returncode, b"Cannot listen on" in second.stderr) == (1, True)
