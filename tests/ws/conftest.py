"""How the tests open sockets: real ones, to a server in a process of its own."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.conftest import Server


class Socket:
    """A page's socket: JSON in, JSON out."""

    def __init__(self, connection: ClientConnection):
        self.connection = connection

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def start(self, topic: str = "cats") -> None:
        self.send(type="start", input={"topic": topic})

    def receive(self, timeout: float = 5) -> dict[str, Any]:
        return json.loads(self.connection.recv(timeout=timeout))

    def receive_until(self, *kinds: str) -> list[dict[str, Any]]:
        """All messages up to the first of one of these types."""
        messages = [self.receive()]
        while messages[-1]["type"] not in kinds:
            assert messages[-1]["type"] not in ("finished", "failed"), messages[-1]
            messages.append(self.receive())
        return messages

    def run(self, topic: str = "cats") -> list[dict[str, Any]]:
        self.start(topic)
        return self.receive_until("finished", "failed", "error")

    def ping(self) -> dict[str, Any]:
        self.send(type="ping")
        return self.receive()


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def close_code(socket: Socket) -> int | None:
    """The code with which the server closes, whatever it says before; None where it just hangs up."""
    try:
        while True:
            socket.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def session_cookie(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@pytest.fixture
def cookie(transactional_db, alice) -> str:
    return session_cookie(alice)


@pytest.fixture
def server_log(server: Server) -> Iterator[Callable[[], str]]:
    """What the server has written since; nothing of what a test does may raise there."""
    before = server.log.stat().st_size

    def read() -> str:
        return server.log.read_bytes()[before:].decode()

    yield read
    assert "Traceback" not in read()
    assert "ERROR" not in read()


@pytest.fixture
def open_socket(server, server_log, cookie) -> Iterator[Callable[..., Socket]]:
    """Open alice's sockets, which are closed in the end."""
    opened: list[ClientConnection] = []

    def open_socket(ref: str = "joke", cookie: str = cookie) -> Socket:
        connection = connect(
            f"{server.websocket_url}/ws/chains/{ref}/",
            origin=server.url,  # type: ignore[arg-type]
            additional_headers={"Cookie": cookie},
            max_size=None,
            legacy=True,
        )
        opened.append(connection)
        return Socket(connection)

    yield open_socket
    for connection in opened:
        connection.close()
