"""Several processes behind one address: one that dies is replaced, and all end together."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chainhub.server.acceptor import Acceptor
from chainhub.server.processes import Supervisor, listen
from chains.models import Run
from tests.conftest import Server, add_chain, add_prompt, start_server, step, wait_until

# Three servers start at a time, and how long that takes is part of the promise.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.alone]

COUNT = 3
BODY = json.dumps({"input": {"topic": "word"}})
Start = Callable[..., Server]


def children(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def lives(pid: int) -> bool:
    """Also a process that is not ours and that nobody has buried yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def sockets(pid: int) -> int:
    links = (os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir())
    return sum(link.startswith("socket:") for link in links)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(log: Path) -> Iterator[Start]:
    """Starts a server of three processes, which has ended after the test."""
    started: list[tuple[Server, set[int]]] = []

    def start(**environment: str) -> Server:
        server = start_server(log, WEB_CONCURRENCY=str(COUNT), **environment)
        wait_until(lambda: readies(log) == COUNT, seconds=20, or_say=log.read_text)
        started.append((server, children(server.process.pid)))
        return server

    yield start
    for server, workers in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def readies(log: Path) -> int:
    return log.read_text().count("is ready")


@pytest.fixture
def slow(demo):
    """Four seconds, word by word."""
    add_prompt("slow")
    return add_chain("slow", step("slow", extra={"delay_ms": 100, "words": 40}))


def connection_to(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)


def ask(server: Server, key: str, path: str) -> http.client.HTTPResponse:
    connection = connection_to(server)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", path, BODY, headers)
    return connection.getresponse()


class Load:
    """Callers that ask twenty times a second, each time anew, and note how it went and when."""

    def __init__(self, server: Server, key: str, callers: int):
        self.answers: list[tuple[float, bool]] = []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(server, key)) for _ in range(callers)]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _ask(self, server: Server, key: str) -> None:
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                answered = ask(server, key, "/chains/joke/invoke").status == 200
            except (OSError, http.client.HTTPException):
                answered = False
            self.answers.append((began, answered))
            time.sleep(0.05)

    def since(self, moment: float) -> list[bool]:
        return [answered for began, answered in self.answers if began >= moment]


def test_one_of_three_is_killed_under_load(start, log, alice_key, joke):
    server = start()
    before = children(server.process.pid)
    with Load(server, alice_key, callers=8) as load:
        wait_until(lambda: len(load.answers) > 100)

        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        at = time.monotonic()
        wait_until(lambda: readies(log) == COUNT + 1, or_say=log.read_text)
        back_after_s = time.monotonic() - at

        after = children(server.process.pid)
        (successor,) = after - before
        seen = len(load.answers)
        wait_until(lambda: len(load.answers) > seen + 200)

    assert back_after_s < 5
    assert after == before - {killed} | {successor}
    # Whoever was connected to it when it died has lost an answer, at most one; nobody else has.
    lost = [answered for _, answered in load.answers].count(False)
    assert lost <= 8
    assert load.since(at + 0.2)
    assert all(load.since(at + 0.2))
    assert "was killed by signal 9; the next one starts now" in log.read_text()
    wait_until(lambda: not Run.objects.running().exists(), or_say=lambda: "Its runs are not interrupted.")


def test_connections_are_shared_out(start):
    server = start()
    workers = children(server.process.pid)
    idle = {worker: sockets(worker) for worker in workers}
    connections = [connection_to(server) for _ in range(60)]
    try:
        for connection in connections:
            connection.connect()
        wait_until(lambda: sum(map(sockets, workers)) == sum(idle.values()) + 60)

        assert min(sockets(worker) - idle[worker] for worker in workers) >= 3
    finally:
        for connection in connections:
            connection.close()


def stop_as_user(server: Server) -> None:
    server.process.terminate()


def stop_as_host(server: Server) -> None:
    """As hosts do that tell every process of a container."""
    for pid in [*children(server.process.pid), server.process.pid]:
        os.kill(pid, signal.SIGTERM)


def stop_as_host_in_reverse(server: Server) -> None:
    workers = children(server.process.pid)
    server.process.terminate()
    time.sleep(0.3)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize("stop", [stop_as_user, stop_as_host, stop_as_host_in_reverse])
def test_told_to_stop_all_of_them_finish_what_runs(start, log, alice_key, slow, stop):
    server = start()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        streams = list(pool.map(lambda _: ask(server, alice_key, "/chains/slow/stream"), range(12)))
    wait_until(lambda: Run.objects.running().count() == 12)

    stop(server)

    for stream in streams:
        assert stream.read().decode().rstrip().endswith("event: end")
    assert server.process.wait(10) == 0
    assert log.read_text().count("Stopping: ") == COUNT
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}


def test_told_once_more_they_hurry(start, alice_key, demo):
    add_prompt("endless")
    add_chain("endless", step("endless", extra={"delay_ms": 100, "words": 100_000}))
    server = start()
    streams = [ask(server, alice_key, "/chains/endless/stream") for _ in range(6)]
    workers = children(server.process.pid)

    server.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGINT)
    began = time.monotonic()

    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 4
    assert all("event: error" in stream.read().decode() for stream in streams)
    assert not any(map(lives, workers))


def test_without_their_supervisor_they_end_too(start, log, alice_key, slow):
    server = start()
    workers = children(server.process.pid)
    stream = ask(server, alice_key, "/chains/slow/stream")

    server.process.kill()
    server.process.wait(10)

    assert stream.read().decode().rstrip().endswith("event: end")
    wait_until(lambda: not any(map(lives, workers)), or_say=log.read_text)


def test_metrics_are_those_of_all_processes(start, root_key, joke):
    server = start()
    for _ in range(30):
        assert ask(server, root_key, "/chains/joke/invoke").status == 200
    counted = 'chainhub_runs_total{chain="joke",source="rest",status="succeeded"} 30.0'
    assert [counted in metrics(server, root_key) for _ in range(6)] == [True] * 6

    os.kill(min(children(server.process.pid)), signal.SIGKILL)

    assert counted in metrics(server, root_key)


def metrics(server: Server, key: str) -> str:
    connection = connection_to(server)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})
    return connection.getresponse().read().decode()


# --- The supervisor alone, with processes that misbehave ---------------------------------------

# They get the number of their lifeline, and say "ready" on it.
READY = "import os, sys, time; os.write(int(sys.argv[1]), b'.');"


def supervise(script: str, *, stop_after_s: float | None = None, **options) -> tuple[bool, list[int]]:
    """Whether it ended well, and the process ids in the order in which they ended."""
    buried: list[int] = []

    async def run() -> bool:
        supervisor = Supervisor(
            ["-c", script, "{lifeline}"],
            listening=listen("127.0.0.1", 0, backlog=5),
            buried=buried.append,
            **{"count": 2, "stop_within_s": 5, **options},
        )
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, supervisor.stop)
        return await supervisor.run()

    return asyncio.run(run()), buried


@pytest.mark.parametrize("names", [("busy", "idle"), ("idle", "busy")])
async def test_a_connection_goes_to_the_idler_of_two(names):
    listening = listen("127.0.0.1", 0, backlog=50)
    address = listening.getsockname()
    taken: dict[str, list[socket.socket]] = {name: [] for name in names}
    loads = {"busy": 10, "idle": 0}
    acceptors = {
        name: Acceptor(
            listening.dup(),
            shared=True,
            take=lambda connection, _, name=name: taken[name].append(connection),
            load=lambda name=name: loads[name],
        )
        for name in names
    }
    for acceptor in acceptors.values():
        acceptor.start(asyncio.get_running_loop())

    callers = [await asyncio.open_connection(*address) for _ in range(20)]
    # Far longer than the busy one waits.
    await asyncio.sleep(0.1)
    # Whatever arrives just as its wait is over is the busy one's all the same.
    assert len(taken["busy"]) < 5
    assert len(taken["busy"]) + len(taken["idle"]) == 20

    acceptors["idle"].stop()
    callers += [await asyncio.open_connection(*address)]
    await asyncio.sleep(0.1)
    assert len(taken["busy"]) + len(taken["idle"]) == 21

    acceptors["busy"].stop()
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    for connection in [*taken["busy"], *taken["idle"]]:
        connection.close()
    for _, writer in callers:
        writer.close()


async def test_without_free_files_connections_wait(caplog):
    listening = listen("127.0.0.1", 0, backlog=50)
    taken: list[socket.socket] = []
    acceptor = Acceptor(
        listening, shared=False, take=lambda connection, _: taken.append(connection), load=lambda: 0
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    caller = socket.socket()
    caller.setblocking(False)
    try:
        acceptor.start(asyncio.get_running_loop())
        free = os.dup(caller.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        await asyncio.get_running_loop().sock_connect(caller, listening.getsockname())
        await asyncio.sleep(0.2)
        assert taken == []
        assert "Connections cannot be accepted: [Errno 24] Too many open files" in caplog.text

        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.sleep(1)
        assert len(taken) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        acceptor.stop()
        for each in [caller, *taken]:
            each.close()


def test_where_none_gets_ready_the_server_stops(caplog):
    ended_well, buried = supervise("raise SystemExit(3)")

    assert not ended_well
    assert len(buried) == 2
    assert "ended with 3 before it was ready: the server stops" in caplog.text


def test_one_that_keeps_dying_is_replaced_ever_later(caplog):
    _, buried = supervise(READY + "time.sleep(0.05)", stop_after_s=2)

    # Two at once, two right after them, two after a second; the next ones would come two seconds later.
    assert len(buried) == 6
    starts = [
        record.getMessage().partition("; ")[2] for record in caplog.records if record.levelname == "ERROR"
    ]
    assert sorted(starts) == sorted(
        [f"the next one starts {when}" for when in ("now", "in 1 s", "in 2 s") for _ in range(2)]
    )


def test_one_that_cannot_be_started_is_tried_again(caplog):
    """As where the machine has no room for another process, for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def run() -> bool:
        supervisor = Supervisor(
            ["-c", READY + "time.sleep(0.3)", "{lifeline}"],
            listening=listen("127.0.0.1", 0, backlog=5),
            count=1,
            stop_within_s=5,
        )
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, hard)))
        loop.call_later(1, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
        loop.call_later(2.5, supervisor.stop)
        return await supervisor.run()

    try:
        ended_well = asyncio.run(run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "could not be started ([Errno 24] Too many open files); the next one starts" in caplog.text
    assert caplog.text.count("is ready") >= 2
    assert ended_well


def test_one_that_hangs_before_it_is_ready_is_killed(tmp_path, caplog):
    """Only the second one does: where none gets ready, the server stops."""
    seen = tmp_path / "seen"
    script = f"if os.path.exists('{seen}'): time.sleep(60)\nopen('{seen}', 'w'); "

    ended_well, buried = supervise(
        f"import os, sys, time\n{script}{READY}time.sleep(0.1)", count=1, stop_after_s=2, ready_within_s=0.5
    )

    assert ended_well
    assert len(buried) >= 2
    assert f"Worker {buried[1]} hangs, and is killed" in caplog.text


def test_one_that_does_not_end_is_killed(caplog):
    began = time.monotonic()

    ended_well, buried = supervise(READY + "time.sleep(60)", stop_after_s=1, stop_within_s=0.5)

    assert not ended_well
    assert len(buried) == 2
    assert time.monotonic() - began < 5
    assert "does not end, and is killed" in caplog.text


def test_a_wrong_number_of_processes_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        env={**os.environ, "DEBUG": "on", "WEB_CONCURRENCY": "0", "VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "WEB_CONCURRENCY is the number of serving processes: 1 or more." in done.stderr
