"""Clients that send too much or too slowly, and clients that take nothing: the server stays as it was."""

import contextlib
import http.client
import json
import socket
import struct
import time

import pytest

from tests.conftest import wait_until
from tests.faults.floods import MB, STREAM, UPGRADE, read_all


def pump(client: socket.socket, piece: bytes, total: int) -> int:
    """Send until something comes back, as curl does; how much was taken."""
    client.setblocking(False)
    sent, deadline = 0, time.monotonic() + 10
    while sent < total and time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            if client.recv(1, socket.MSG_PEEK) is not None:
                break
        try:
            sent += client.send(piece)
        except BlockingIOError:
            time.sleep(0.001)
        except ConnectionError:
            break
    client.settimeout(10)
    return sent


def is_refusal(answer: bytes, status: str, code: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    told = json.loads(body)
    return (
        lines[0] == f"HTTP/1.1 {status}"
        and "Connection: close" in lines
        and (told["code"], told["detail"]) == (code, told["message"])
    )


# --- Bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        (f"Content-Length: {200 * MB}", b"x" * 65536),
        ("Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    ],
    ids=["announced", "chunked"],
)
def test_a_body_of_200_mb_is_refused_while_it_arrives(flood, framing, piece):
    server = flood()

    with server.rises_less_than(5 * MB), server.connect() as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        sent = pump(client, piece, 200 * MB)
        answer = read_all(client)

    assert is_refusal(answer, "413 Request Entity Too Large", "body_too_large")
    assert sent < 8 * MB  # what the system's own buffers took included
    assert server.said("http /") == 0
    assert server.answers()


def test_a_client_that_sends_on_after_the_refusal_is_cut_off(flood):
    server = flood()

    with server.rises_less_than(5 * MB), server.connect() as client:
        client.sendall(f"POST / HTTP/1.1\r\nContent-Length: {200 * MB}\r\n\r\n".encode())
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            client.sendall(b"x" * (200 * MB))

    assert time.monotonic() - began < 8
    assert server.answers()


def test_an_announced_body_is_refused_before_any_of_it_and_not_asked_for(flood):
    with flood().connect() as client:
        client.sendall(
            f"POST / HTTP/1.1\r\nContent-Length: {MB + 1}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        answer = read_all(client)

    assert is_refusal(answer, "413 Request Entity Too Large", "body_too_large")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_limit_arrives_whole_and_one_byte_more_does_not(flood, chunked):
    server = flood()
    pieces = [b"x" * MB, b"y"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    connection.request("POST", "/", iter(pieces[:1]) if chunked else pieces[0], encode_chunked=chunked)
    assert connection.getresponse().read() == f"{MB} bytes".encode()
    connection.request("POST", "/", iter(pieces) if chunked else b"".join(pieces), encode_chunked=chunked)
    assert connection.getresponse().status == 413


def test_after_a_body_the_connection_serves_on(flood):
    connection = http.client.HTTPConnection("127.0.0.1", flood().port, timeout=10)

    for size in (0, 10, 200_000):
        connection.request("POST", "/", b"x" * size)
        assert connection.getresponse().read() == f"{size} bytes".encode()


# --- Headers -----------------------------------------------------------------------------------

LONG = "x" * 20_000


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "code"),
    [
        (f"GET /{LONG} HTTP/1.1", [], "414 Request-URI Too Long", "uri_too_long"),
        ("GET / HTTP/1.1", [f"X: {LONG}"], "431 Request Header Fields Too Large", "headers_too_large"),
        (
            "GET / HTTP/1.1",
            ["X: " + LONG[:1000]] * 20,
            "431 Request Header Fields Too Large",
            "headers_too_large",
        ),
        ("GET /", [], "400 Bad Request", "bad_request"),
        ("GET / HTTP/1.1", ["no colon"], "400 Bad Request", "bad_request"),
        ("POST / HTTP/1.1", ["Content-Length: x"], "400 Bad Request", "bad_request"),
        ("POST / HTTP/1.1", ["Content-Length: 3", "Content-Length: 4"], "400 Bad Request", "bad_request"),
        (
            "POST / HTTP/1.1",
            ["Content-Length: 3", "Transfer-Encoding: chunked"],
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST / HTTP/1.1",
            ["Transfer-Encoding: identity", "Transfer-Encoding: chunked"],
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST / HTTP/1.1",
            ["Transfer-Encoding: chunked", "transfer-encoding : identity"],
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST / HTTP/1.1",
            ["Content-Length: 3", "Transfer-Encoding: identity"],
            "400 Bad Request",
            "bad_request",
        ),
        ("POST / HTTP/1.1", ["Transfer-Encoding: gzip, chunked"], "400 Bad Request", "bad_request"),
    ],
)
def test_headers_that_cannot_be_read_are_refused_once(flood, request_line, headers, status, code):
    server = flood()

    with server.connect() as client:
        client.sendall("\r\n".join([request_line, "Host: localhost", *headers, "", "abc"]).encode())
        answer = read_all(client)

    assert is_refusal(answer, status, code)
    assert server.said("http /") == 0
    assert server.answers()


# --- Messages of a WebSocket -------------------------------------------------------------------

DEAF = UPGRADE.replace(b"/ws", b"/deaf")


def part(size: int, *, opcode: int = 0, arrives: int | None = None) -> bytes:
    """A frame that is not the last of its message; only so many of its bytes arrive."""
    length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return bytes([opcode]) + length + bytes(4) + b"x" * (size if arrives is None else arrives)


@pytest.mark.parametrize(
    "sent",
    [
        [part(60_000, opcode=1), part(60_000, arrives=0)],
        [part(30_000, opcode=1), part(30_000), part(30_000, arrives=10)],
    ],
    ids=["two", "three"],
)
def test_a_message_in_parts_is_refused_as_soon_as_it_is_too_large(flood, sent):
    with flood().connect() as client:
        client.sendall(DEAF)
        read_until(client, b"\r\n\r\n")
        client.sendall(b"".join(sent))

        assert closing_code(client) == 1009


@pytest.mark.parametrize(
    "sent", [part(10, opcode=1), part(10, opcode=1) + part(10), part(9, opcode=1, arrives=1)]
)
def test_a_message_that_does_not_end_is_given_up(flood, sent):
    with flood(body_s=1).connect() as client:
        client.sendall(DEAF)
        read_until(client, b"\r\n\r\n")
        client.sendall(sent)

        assert closing_code(client) == 1008


def read_until(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += client.recv(1)
    return data


def closing_code(client: socket.socket) -> int:
    """The code of the next frame, which closes the socket."""
    client.settimeout(10)
    kind, length = client.recv(2)
    assert kind == 0x88
    return int.from_bytes(client.recv(length)[:2], "big")


# --- Clients that take nothing -----------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize(("opening", "kind"), [(STREAM, "http /stream"), (UPGRADE, "websocket /ws")])
def test_a_client_that_takes_nothing_costs_no_memory_and_is_dropped(flood, opening, kind):
    server = flood(stall_s=2)

    with server.rises_less_than(10 * MB), server.connect(buffer=65536) as client:
        client.sendall(opening)
        wait_until(lambda: server.said(kind) == 1)
        began = time.monotonic()
        while server.said("left") == 0:
            assert time.monotonic() - began < 6
            asked = time.monotonic()
            assert server.answers()
            assert time.monotonic() - asked < 0.5
            time.sleep(0.05)

    assert time.monotonic() - began > 1.5


@pytest.mark.parametrize("opening", [STREAM, UPGRADE])
def test_a_client_that_takes_little_is_not_dropped(flood, opening):
    server = flood(stall_s=1.5)

    with server.connect(buffer=65536) as client:
        client.sendall(opening)
        for _ in range(30):
            time.sleep(0.1)
            assert client.recv(20_000)

        assert server.said("left") == 0


@pytest.mark.parametrize("opening", [STREAM, UPGRADE])
def test_a_fast_client_gets_all_of_it(flood, opening):
    server = flood()

    with server.rises_less_than(10 * MB), server.connect() as client:
        client.sendall(opening)
        received = 0
        began = time.monotonic()
        while received < 200_000_000:
            piece = client.recv(MB)
            assert piece
            received += len(piece)
        print(f"{received / MB:.0f} MB in {time.monotonic() - began:.1f} s")

    assert server.answers()


def test_an_answer_that_waits_when_the_connection_closes_does_not_wait_for_ever(flood):
    server = flood(stall_s=1)

    with server.connect(buffer=4096) as client:
        client.sendall(STREAM.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        wait_until(lambda: server.said("left") == 1, seconds=6)
        assert b"\r\n0\r\n\r\n" not in read_all(client)


def test_a_client_that_asks_for_answers_and_takes_none_is_not_read_for_ever(flood):
    server = flood(stall_s=30)
    ping = struct.pack("!BBI", 0x89, 0x80 | 100, 0) + b"x" * 100

    with server.rises_less_than(10 * MB), server.connect(buffer=65536) as client:
        client.sendall(UPGRADE)
        assert client.recv(12) == b"HTTP/1.1 101"
        sent = send_for(client, ping * 600, seconds=3)

    assert sent < 32 * MB
    assert server.answers()


def test_frames_that_nobody_hears_are_not_read_for_ever(flood):
    server = flood()
    frame = struct.pack("!BBI", 0x81, 0x80 | 100, 0) + b"x" * 100

    with server.rises_less_than(10 * MB), server.connect() as client:
        client.sendall(UPGRADE.replace(b"/ws", b"/deaf"))
        client.recv(4096)
        sent = send_for(client, frame * 600, seconds=3)

    assert sent < 32 * MB
    assert server.answers()


def send_for(client: socket.socket, piece: bytes, *, seconds: float) -> int:
    """How much was taken."""
    client.setblocking(False)
    sent, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            sent += client.send(piece[sent % len(piece) :])
        except BlockingIOError:
            time.sleep(0.01)
    return sent


# --- Clients that are slow to ask --------------------------------------------------------------


def drip(client: socket.socket, seconds: float) -> float:
    """A byte ten times a second until the other side has had enough; for how long that was."""
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - began < seconds:
            client.send(b"x")
            client.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                if client.recv(1) == b"":
                    break
    return time.monotonic() - began


@pytest.mark.parametrize(
    "opening",
    [b"", b"GET / HTTP/1.1\r\nX-Long: ", b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"],
    ids=["first line", "headers", "body"],
)
def test_a_drip_is_closed(flood, opening):
    server = flood(header_s=1, body_s=1)

    with server.connect() as client:
        client.sendall(opening)
        assert drip(client, 8) < 3

    assert server.answers()


def test_a_silent_connection_is_closed_and_a_second_request_has_its_own_time(flood):
    server = flood(header_s=0.5, idle_s=2)

    with server.connect() as silent, server.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert idle.recv(1000).endswith(b"0 bytes\r\n0\r\n\r\n")
        assert read_all(silent) == b""
        time.sleep(0.2)
        idle.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert idle.recv(1000).endswith(b"0 bytes\r\n0\r\n\r\n")
        began = time.monotonic()
        assert read_all(idle) == b""
        assert 1.5 < time.monotonic() - began < 3


def test_connections_beyond_the_cap_are_refused_until_others_leave(flood):
    server = flood(connections=3)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.sendall(UPGRADE)
        assert client.recv(12) == b"HTTP/1.1 101"

    with server.connect() as refused:
        assert is_refusal(read_all(refused), "503 Service Unavailable", "too_many_connections")

    for client in clients:
        client.close()
    wait_until(server.answers)


def test_silent_connections_keep_nobody_out(flood):
    server = flood(connections=3, connections_of_address=2)
    busy = server.connect()
    busy.sendall(STREAM)
    busy.recv(100)
    silent = [server.connect() for _ in range(5)]
    silent[-1].sendall(b"GET / HTTP/1.1\r\nHost:")

    assert server.answers()

    # The one that has been silent longest was dropped first, and the stream goes on.
    with pytest.raises(ConnectionResetError):
        silent[0].recv(1)
    assert busy.recv(100)
    silent[-1].sendall(b" localhost\r\n\r\n")
    assert silent[-1].recv(12) == b"HTTP/1.1 200"


def test_an_address_that_is_no_proxy_has_a_limited_number_of_connections(flood):
    server = flood(connections_of_address=2, proxies=[])
    clients = [server.connect() for _ in range(2)]
    for client in clients:
        client.sendall(UPGRADE)
        assert client.recv(12) == b"HTTP/1.1 101"

    with server.connect() as refused:
        answer = read_all(refused)
        assert is_refusal(answer, "503 Service Unavailable", "too_many_connections")
        assert b"Your address" in answer

    for client in clients:
        client.close()
    wait_until(server.answers)
