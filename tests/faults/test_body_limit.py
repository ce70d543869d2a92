"""The limit of a body is a setting, and every door has the same one."""

import gzip
import json

import pytest

from tests.faults.conftest import connection_to, open_socket
from tests.ws.conftest import Socket, close_code

TOPIC = {"input": {"topic": "cats"}}
BODY = json.dumps(TOPIC).encode()
# More than the 8 MiB that a message of the WebSocket may have by default, and less than the default.
LIMITS = [9 * 1024 * 1024, 2000]


def asked(server, key: str, body: bytes, **headers: str) -> tuple[int, dict]:
    connection = connection_to(server)
    connection.request("POST", "/chains/joke/invoke", body, {"X-API-Key": key} | headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize("limit", LIMITS)
def test_each_door_takes_a_body_up_to_the_limit_of_the_settings(
    start, shared_db, joke, alice, alice_key, limit
):
    server = start(MAX_BODY_BYTES=str(limit))
    packed = {"Content-Encoding": "gzip"}

    assert asked(server, alice_key, BODY.ljust(limit))[0] == 200
    assert asked(server, alice_key, gzip.compress(BODY.ljust(limit)), **packed)[0] == 200
    for body, headers in ((BODY.ljust(limit + 1), {}), (gzip.compress(BODY.ljust(limit + 1)), packed)):
        status, told = asked(server, alice_key, body, **headers)
        assert (status, told["code"]) == (413, "body_too_large")
        assert f"larger than {limit} bytes" in told["detail"]
    with open_socket(server, alice, "joke") as socket:
        socket.send(json.dumps({"type": "start", **TOPIC}).ljust(limit))
        assert json.loads(socket.recv(timeout=20))["type"] == "started"
    with open_socket(server, alice, "joke") as socket:
        socket.send(" " * (limit + 1))
        assert close_code(Socket(socket)) == 1009
