"""What only a real connection to a real server shows: framing, limits, and clients that leave."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from chains.models import Run
from tests.api.conftest import frames
from tests.conftest import wait_until
from tests.upstream import answers, held, silent, slow

TOPIC = {"input": {"topic": "cats"}}


class Connection:
    """A program's connection to the server."""

    def __init__(self, url: str, key: str):
        self.netloc = urlsplit(url).netloc
        self.host, self.port = self.netloc.split(":")
        self.key = key
        self.socket = socket.create_connection((self.host, int(self.port)), timeout=10)

    def send(self, path: str, body: bytes, *, chunked: bool = False, method: str = "POST") -> None:
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.netloc}\r\nX-API-Key: {self.key}\r\n{length}\r\n\r\n"
        self.socket.sendall(head.encode())
        if not chunked:
            self.socket.sendall(body)
            return
        for start in range(0, len(body), 65_536):
            piece = body[start : start + 65_536]
            self.socket.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.socket.sendall(b"0\r\n\r\n")

    def read(self) -> tuple[int, http.client.HTTPMessage, bytes]:
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return response.status, response.headers, response.read()

    def ask(self, path: str, body: bytes, **options) -> tuple[int, http.client.HTTPMessage, bytes]:
        self.send(path, body, **options)
        return self.read()

    def read_until(self, text: bytes) -> bytes:
        data = b""
        while text not in data:
            piece = self.socket.recv(65_536)
            assert piece, data
            data += piece
        return data

    def leave(self) -> None:
        self.socket.close()


@pytest.fixture
def connect(server, alice_key) -> Iterator:
    """Open connections, which are closed in the end."""
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(Connection(server.url, alice_key))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.leave()


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


# --- Framing and limits ------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_answer_comes_over_a_real_connection(connect, joke, chunked):
    status, headers, body = connect().ask("/chains/joke/invoke", dumped(TOPIC), chunked=chunked)

    assert (status, json.loads(body)["output"]) == (200, "cats")
    assert headers["X-ChainHub-Version"] == "joke@1"


def test_one_connection_serves_several_requests(connect, joke):
    connection = connect()

    outputs = [
        json.loads(connection.ask("/chains/joke/invoke", dumped(TOPIC))[2])["output"] for _ in range(3)
    ]

    assert outputs == ["cats"] * 3


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_of_one_mebibyte_is_read_and_one_byte_more_is_not(connect, joke, chunked):
    body = dumped(TOPIC).ljust(settings.MAX_BODY_BYTES)

    status, _, answer = connect().ask("/chains/joke/invoke", body, chunked=chunked)
    refused, headers, told = connect().ask("/chains/joke/invoke", body + b" ", chunked=chunked)

    assert (status, json.loads(answer)["output"]) == (200, "cats")
    assert (refused, headers["Content-Type"]) == (413, "application/json")
    assert json.loads(told)["code"] == "body_too_large"


def test_a_stream_comes_whole_with_its_own_line_ends(connect, joke):
    status, headers, body = connect().ask("/chains/joke/stream", dumped(TOPIC))

    assert status == 200
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "Content-Length" not in headers
    assert [event for event, _ in frames(body)] == ["metadata", "data", "end"]


def test_a_stream_is_sent_while_it_grows(connect, poem, upstream):
    released = threading.Event()
    upstream.script(held("one two three", until=released))
    connection = connect()

    connection.send("/chains/poem/stream", dumped(TOPIC))
    assert b"event: end" not in connection.read_until(b'data: "one"')
    released.set()
    connection.read_until(b"event: end")


ODD_PATHS = [
    "/chains/joke%2Finvoke",
    "/chains%2fjoke/invoke",
    "/chains/joke/%2e%2e/joke/invoke",
    "/chains/%00/invoke",
]
ODD_PATHS += [
    "/chains/joke%00/invoke",
    "/chains/joke/../joke/invoke",
    "/chains/%FF/invoke",
    "/chains/joke//invoke",
]
ODD_PATHS += ["/api%2Fv1%2Fruns%2F", "/chains/" + "x" * 10_000 + "/invoke", "/chains/joke%252Finvoke"]


def test_a_path_of_nonsense_is_not_found_as_json(connect, joke):
    for path in ODD_PATHS:
        for method in ("POST", "GET"):
            status, _, body = connect().ask(path, dumped(TOPIC), method=method)

            assert status == 404, path
            assert json.loads(body)["code"] == "not_found"


def test_an_escaped_slash_in_the_query_is_no_part_of_the_path(connect, joke):
    status, _, _ = connect().ask("/chains/joke/input_schema?next=%2Fadmin%2F", b"", method="GET")

    assert status == 200


# --- Clients that leave ------------------------------------------------------------------------


def ended(status: str) -> bool:
    return list(Run.objects.values_list("status", flat=True)) == [status]


@pytest.mark.alone
@pytest.mark.parametrize("behaviour", [silent(), slow(first_token_s=60)], ids=["silent", "slow"])
@pytest.mark.parametrize("endpoint", ["invoke", "stream"])
def test_a_client_that_leaves_before_the_answer_ends_the_providers_call(
    connect, poem, upstream, endpoint, behaviour
):
    upstream.script(behaviour)
    connection = connect()
    connection.send(f"/chains/poem/{endpoint}", dumped(TOPIC))
    wait_until(lambda: upstream.requests)

    connection.leave()

    wait_until(lambda: upstream.disconnects == 1, seconds=1)
    wait_until(lambda: ended("cancelled"), seconds=2)


@pytest.mark.alone
def test_a_client_that_leaves_a_batch_ends_every_call_of_it(connect, poem, upstream):
    upstream.script(*[silent()] * 8)
    connection = connect()
    connection.send("/chains/poem/batch", dumped({"inputs": [TOPIC["input"]] * 12}))
    wait_until(lambda: upstream.active == 8)

    connection.leave()

    wait_until(lambda: upstream.disconnects == 8, seconds=1)
    wait_until(lambda: not Run.objects.running().exists())
    assert set(Run.objects.values_list("status", flat=True)) == {"cancelled"}
    assert len(upstream.requests) == 8


@pytest.mark.alone
def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_the_providers_call(connect, poem, upstream):
    upstream.script(held("one two three", after_chunks=2))
    connection = connect()
    connection.send("/chains/poem/stream", dumped(TOPIC))
    connection.read_until(b'data: " two"')

    connection.leave()

    wait_until(lambda: upstream.disconnects == 1, seconds=1)
    wait_until(lambda: ended("cancelled"), seconds=2)
    assert Run.objects.get().output == "one two"


@pytest.mark.alone
def test_a_client_that_leaves_ends_only_its_own_run(connect, poem, upstream):
    released = threading.Event()
    upstream.script(silent(), held("Hello", after_chunks=0, until=released))
    leaving, staying = connect(), connect()
    leaving.send("/chains/poem/invoke", dumped(TOPIC))
    wait_until(lambda: len(upstream.requests) == 1)
    staying.send("/chains/poem/invoke", dumped(TOPIC))
    wait_until(lambda: len(upstream.requests) == 2)

    leaving.leave()
    wait_until(lambda: upstream.disconnects == 1, seconds=1)
    released.set()

    status, _, body = staying.read()
    assert (status, json.loads(body)["output"]) == (200, "Hello")
    assert sorted(Run.objects.values_list("status", flat=True)) == ["cancelled", "succeeded"]


@pytest.mark.alone
def test_many_clients_that_leave_at_once_leave_nothing_running(connect, poem, upstream):
    upstream.script(*[silent()] * 20)
    connections = [connect() for _ in range(20)]
    for connection in connections:
        connection.send("/chains/poem/stream", dumped(TOPIC))
    wait_until(lambda: upstream.active == 20)

    for connection in connections:
        connection.leave()

    wait_until(lambda: upstream.disconnects == 20, seconds=3)
    wait_until(lambda: Run.objects.filter(status="cancelled").count() == 20)


def test_no_answer_reaches_another_client_when_some_leave(connect, joke, poem, upstream):
    upstream.script(*[answers(lambda body: body["messages"][0]["content"], chunk_delay_s=0.05)] * 30)
    connections = [connect() for _ in range(30)]
    for number, connection in enumerate(connections):
        connection.send("/chains/poem/invoke", dumped({"input": {"topic": f"number {number}"}}))
    for connection in connections[::3]:
        connection.leave()

    for number, connection in enumerate(connections):
        if number % 3:
            assert json.loads(connection.read()[2])["output"] == f"A poem about number {number}"
