"""What `make run` starts, on an empty directory."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT, free_port, wait_until
from tests.upstream import answers


@contextmanager
def quickstart(var: Path, **environment: str) -> Iterator[str]:
    """What it prints until it serves; the server is stopped afterwards."""
    variables = {
        "PATH": os.environ["PATH"],
        "DEBUG": "on",
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(var),
        "PORT": str(free_port()),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    log = var / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart"], cwd=ROOT, env=variables, stdout=output, stderr=output
        )
    try:
        wait_until(
            lambda: "Serving on" in log.read_text() or process.poll() is not None,
            seconds=60,
            or_say=log.read_text,
        )
        yield log.read_text()
    finally:
        process.terminate()
        process.wait(timeout=30)


def stream_as_printed(printed: str) -> Iterator[tuple[float, str]]:
    """Send the request of the printed curl; each line of the answer with its time of arrival."""
    url = re.search(r"curl -N http://([\d.]+):(\d+)(\S+)", printed)
    key = re.search(r"Bearer (\S+)'", printed)
    body = re.search(r"-d '(.+)'", printed)
    assert url
    assert key
    assert body
    connection = http.client.HTTPConnection(url[1], int(url[2]), timeout=20)
    headers = {"Authorization": f"Bearer {key[1]}", "Content-Type": "application/json"}
    connection.request("POST", url[3], body[1], headers)
    response = connection.getresponse()
    assert response.status == 200
    for line in response:
        yield time.monotonic(), line.decode().rstrip()


def answer_of(lines: list[str]) -> str:
    data = [line.removeprefix("data: ") for line in lines if line.startswith('data: "')]
    return "".join(json.loads(chunk) for chunk in data)


def credentials(printed: str) -> list[tuple[str, str]]:
    return re.findall(r"admin / (\S+)|Bearer (\S+)'", printed)


def test_an_empty_directory_serves_the_demo_and_is_the_same_at_the_next_start(tmp_path):
    with quickstart(tmp_path) as printed:
        arrivals = list(stream_as_printed(printed))

    assert "/chains/fitness/playground/" in printed
    assert re.search(r"sign in as admin / \S{12,}", printed)
    assert "How do I start running?" in answer_of([line for _, line in arrivals])
    # It streams: the answer of about three seconds does not come at once.
    assert arrivals[-1][0] - arrivals[0][0] > 1

    with quickstart(tmp_path) as again:
        assert credentials(again) == credentials(printed)


def test_with_an_endpoint_fitness_is_answered_by_it(tmp_path, upstream):
    upstream.script(*[answers("Hello from a real wire")])
    environment = {"OPENAI_API_KEY": "sk-test-0123456789abcdef", "OPENAI_BASE_URL": upstream.base_url}

    with quickstart(tmp_path, **environment) as printed:
        lines = [line for _, line in stream_as_printed(printed)]

    assert answer_of(lines) == "Hello from a real wire"
    assert upstream.requests[0].key == "sk-test-0123456789abcdef"
    assert "fitness trainer" in upstream.requests[0].body["messages"][0]["content"]


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with quickstart(tmp_path, PORT=port) as printed:
            assert f"Port {port} is taken" in printed


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_KEYS"])
def test_production_refuses_to_start_without_its_secrets(tmp_path, name):
    secrets = {"SECRET_KEY": "x" * 60, "FIELD_KEYS": "8fwN0fQ6DmJ1Zq9xJ6oJrJ3m8pN8cXr8t3sJ2mY0w0E="}
    secrets[name] = ""
    variables = {"PATH": os.environ["PATH"], "DEBUG": "off", "ENV_FILE": os.devnull, **secrets}

    refused = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=variables, capture_output=True, text=True
    )

    assert refused.returncode != 0
    assert f"Set {name}." in refused.stderr
