"""The channel layer is configured by REDIS_URL, and nothing uses it yet."""

import os
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from tests.conftest import ROOT, environment_of_servers, start_server, stop_server
from tests.ws.conftest import Socket, kinds, session_cookie

NOBODY_THERE = "redis://127.0.0.1:1"
LAYER = (
    "import django; django.setup(); from channels.layers import get_channel_layer; print(get_channel_layer())"
)


@pytest.mark.parametrize(
    ("url", "layer"), [("", "InMemoryChannelLayer"), (NOBODY_THERE, "RedisChannelLayer")]
)
def test_it_is_redis_exactly_where_the_environment_says_so(shared_db, url, layer):
    variables = {"DJANGO_SETTINGS_MODULE": "chainhub.settings", "ENV_FILE": os.devnull, "REDIS_URL": url}
    done = subprocess.run(
        [sys.executable, "-c", LAYER],
        cwd=ROOT,
        env=environment_of_servers(0) | variables,
        capture_output=True,
        text=True,
        check=True,
    )

    assert layer in done.stdout


def test_without_redis_the_server_is_ready_and_the_playground_streams(shared_db, joke, alice, tmp_path):
    server = start_server(tmp_path / "log", REDIS_URL=NOBODY_THERE)
    try:
        with connect(
            f"{server.websocket_url}/ws/chains/joke/",
            origin=server.url,
            additional_headers={"Cookie": session_cookie(alice)},
        ) as connection:
            messages = kinds(Socket(connection).run())
    finally:
        stop_server(server)

    assert messages[-1] == "finished"
    assert "ERROR" not in server.log.read_text()
