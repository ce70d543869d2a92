"""Servers that a test may kill, and callers of their chains."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from accounts.models import User
from chains.models import Chain
from tests.conftest import ROOT, Server, add_chain, add_prompt, free_port, start_server, step, wait_until
from tests.faults.floods import Flood
from tests.ws.conftest import session_cookie

StartServer = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartServer]:
    """Starts a server with these variables and options; after the test none of its processes lives."""
    with servers(tmp_path) as start:
        yield start


@contextlib.contextmanager
def servers(logs: Path) -> Iterator[StartServer]:
    started: list[Server] = []

    def start(**options: Any) -> Server:
        started.append(start_server(logs / f"log{len(started)}", **options))
        return started[-1]

    try:
        yield start
    finally:
        for server in started:
            workers = children(server.process.pid)
            server.process.kill()
            server.process.wait(10)
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)


@pytest.fixture(scope="module")
def floods(tmp_path_factory):
    """Starts ``tests.faults.flood``, one process for each set of limits; each is ended by its pid."""
    started: dict[str, Flood] = {}

    def start(limits: str) -> Flood:
        log = tmp_path_factory.mktemp("flood") / "log"
        port = free_port()
        command = [sys.executable, "-m", "tests.faults.flood", str(port), limits]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        server = started[limits] = Flood(port=port, process=process, log=log)
        wait_until(server.answers, seconds=20, or_say=log.read_text)
        return server

    yield lambda **limits: started.get(json.dumps(limits)) or start(json.dumps(limits))
    for server in started.values():
        server.process.kill()
        server.process.wait(10)


@pytest.fixture
def flood(floods):
    """The server with these limits, with nothing said yet."""

    def start(**limits) -> Flood:
        server = floods(**limits)
        wait_until(server.is_alone)
        server.skip = len(server.log.read_text())
        return server

    return start


def children(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


@pytest.fixture
def endless(demo) -> Chain:
    """A word each tenth of a second, for hours."""
    add_prompt("endless")
    return add_chain("endless", step("endless", extra={"delay_ms": 100, "words": 100_000}))


def connection_to(server: Server, *, timeout: float = 20) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=timeout)


def ask(server: Server, key: str, path: str) -> http.client.HTTPResponse:
    """Run a chain over a connection of its own; a stream may still be on its way."""
    connection = connection_to(server)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps({"input": {"topic": "word"}}), headers)
    return connection.getresponse()


def open_socket(server: Server, user: User, chain: str) -> ClientConnection:
    return connect(
        f"{server.websocket_url}/ws/chains/{chain}/",
        origin=server.url,
        additional_headers={"Cookie": session_cookie(user)},
        legacy=True,
    )


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
