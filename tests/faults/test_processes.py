"""Several processes behind one address: one that dies is replaced, and all end together."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chains.models import Run
from tests.conftest import Server, add_chain, add_prompt, step, wait_until
from tests.faults.conftest import Load, StartServer, ask, children, connection_to, servers

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 3


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
def trio(start: StartServer) -> Server:
    """One server of three processes."""
    return start_trio(start)


@pytest.fixture(scope="module")
def lasting_trio(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Server]:
    """One that serves several tests, in their order here; the last one stops it."""
    with servers(tmp_path_factory.mktemp("trio")) as start:
        yield start_trio(start)


def start_trio(start: StartServer) -> Server:
    server = start(WEB_CONCURRENCY=str(COUNT))
    wait_until(lambda: all_are_ready(server), seconds=60, or_say=server.log.read_text)
    return server


def readies(server: Server) -> int:
    return server.log.read_text().count("is ready")


def all_are_ready(server: Server) -> bool:
    return readies(server) == COUNT + server.log.read_text().count("was killed by signal 9")


@pytest.fixture
def slow(demo):
    """Four seconds, word by word."""
    add_prompt("slow")
    return add_chain("slow", step("slow", extra={"delay_ms": 100, "words": 40}))


# --- While they serve --------------------------------------------------------------------------


@pytest.mark.alone
def test_connections_are_shared_out(lasting_trio):
    workers = children(lasting_trio.process.pid)
    idle = {worker: sockets(worker) for worker in workers}
    connections = [connection_to(lasting_trio) for _ in range(60)]
    try:
        for connection in connections:
            connection.connect()
        wait_until(lambda: sum(map(sockets, workers)) == sum(idle.values()) + 60)

        assert min(sockets(worker) - idle[worker] for worker in workers) >= 3
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.alone
def test_one_of_three_is_killed_under_load(lasting_trio, alice_key, joke):
    before = children(lasting_trio.process.pid)
    with Load(lasting_trio, alice_key, callers=8) as load:
        wait_until(lambda: len(load.answers) > 100)

        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        at = time.monotonic()
        wait_until(lambda: readies(lasting_trio) == COUNT + 1, or_say=lasting_trio.log.read_text)
        back_after_s = time.monotonic() - at

        after = children(lasting_trio.process.pid)
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
    assert "was killed by signal 9; the next one starts now" in lasting_trio.log.read_text()
    wait_until(lambda: not Run.objects.running().exists(), or_say=lambda: "Its runs are not interrupted.")


@pytest.mark.alone
def test_metrics_are_those_of_all_processes(lasting_trio, root_key, demo):
    add_prompt("counted")
    add_chain("counted", step("counted"))
    for _ in range(30):
        assert ask(lasting_trio, root_key, "/chains/counted/invoke").status == 200
    counted = 'chainhub_runs_total{chain="counted",source="rest",status="succeeded"} 30.0'
    assert [counted in metrics(lasting_trio, root_key) for _ in range(6)] == [True] * 6

    os.kill(min(children(lasting_trio.process.pid)), signal.SIGKILL)

    assert counted in metrics(lasting_trio, root_key)


def metrics(server: Server, key: str) -> str:
    connection = connection_to(server)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})
    return connection.getresponse().read().decode()


@pytest.mark.alone
def test_told_once_more_they_hurry(lasting_trio, alice_key, endless):
    wait_until(lambda: all_are_ready(lasting_trio), seconds=60, or_say=lasting_trio.log.read_text)
    streams = [ask(lasting_trio, alice_key, "/chains/endless/stream") for _ in range(6)]
    workers = children(lasting_trio.process.pid)

    lasting_trio.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert lasting_trio.process.poll() is None
    lasting_trio.process.send_signal(signal.SIGINT)
    began = time.monotonic()

    assert lasting_trio.process.wait(10) == 0
    assert time.monotonic() - began < 4
    assert all("event: error" in stream.read().decode() for stream in streams)
    assert not any(map(lives, workers))


# --- When they stop ----------------------------------------------------------------------------


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
def test_told_to_stop_all_of_them_finish_what_runs(trio, alice_key, slow, stop):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        streams = list(pool.map(lambda _: ask(trio, alice_key, "/chains/slow/stream"), range(12)))
    wait_until(lambda: Run.objects.running().count() == 12)

    stop(trio)

    for stream in streams:
        assert stream.read().decode().rstrip().endswith("event: end")
    assert trio.process.wait(10) == 0
    assert trio.log.read_text().count("Stopping: ") == COUNT
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}


def test_without_their_supervisor_they_end_too(trio, alice_key, slow):
    workers = children(trio.process.pid)
    stream = ask(trio, alice_key, "/chains/slow/stream")

    trio.process.kill()
    trio.process.wait(10)

    assert stream.read().decode().rstrip().endswith("event: end")
    wait_until(lambda: not any(map(lives, workers)), or_say=trio.log.read_text)


def test_a_wrong_number_of_processes_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        env={**os.environ, "DEBUG": "on", "WEB_CONCURRENCY": "0", "VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "WEB_CONCURRENCY is the number of serving processes: 1 or more." in done.stderr
