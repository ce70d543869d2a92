"""What the server says of a request: the phrase of its status, and its line in the access log."""

import http.client
import re

import pytest

from tests.conftest import wait_until
from tests.faults.floods import MB, STREAM, UPGRADE, read_all


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (413, "Request Entity Too Large"),
        (422, "Unprocessable Entity"),
        (499, "Client Closed Request"),
        (599, "Internal Server Error"),
    ],
)
def test_a_status_has_its_standard_phrase(flood, status, reason):
    connection = http.client.HTTPConnection("127.0.0.1", flood().port, timeout=10)
    connection.request("GET", f"/{status}")

    assert connection.getresponse().reason == reason


def test_each_request_is_one_line_in_the_log_without_its_query(flood):
    server = flood()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    for method, path in [("POST", "/?key=secret"), ("GET", "/healthz"), ("GET", "/422")]:
        connection.request(method, path)
        connection.getresponse().read()
    with server.connect() as client:
        client.sendall(STREAM)
        client.recv(100)
    wait_until(lambda: len(server.access()) == 3, or_say=server.text)

    post, error, stream = server.access()
    assert post == "path=/ method=POST status=200 bytes=7 ms=N request=id-1 user=alice"
    assert error == "path=/422 method=GET status=422 bytes=0 ms=N request=id-1 user=alice"
    assert re.fullmatch(
        r"path=/stream method=GET status=200 bytes=\d+ ms=N request=id-1 left=True user=alice", stream
    )


def test_a_socket_and_a_refusal_are_lines_too_and_a_path_cannot_forge_one(flood):
    server = flood()

    with server.connect() as client:
        client.sendall(UPGRADE)
        assert client.recv(12) == b"HTTP/1.1 101"
    with server.connect() as client:
        client.sendall(f"POST /a\x85b%0A HTTP/1.1\r\nContent-Length: {2 * MB}\r\n\r\n".encode("latin-1"))
        read_all(client)
    wait_until(lambda: len(server.access()) == 2, or_say=server.text)

    assert [re.sub(r"bytes=\d+", "bytes=N", line) for line in sorted(server.access())] == [
        r"path=/a\\x85b%0A status=413 code=body_too_large",
        "path=/ws method=WS status=101 bytes=N ms=N user=alice",
    ]
