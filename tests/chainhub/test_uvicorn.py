"""The application is plain ASGI: another server runs it too."""

import json
import subprocess
import sys
import urllib.request

import pytest

from tests.conftest import ROOT, answers, environment_of_servers, free_port, wait_until


@pytest.fixture
def uvicorn_url(shared_db, tmp_path):
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "uvicorn", "chainhub.asgi:application", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment_of_servers(port), stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/readyz"), seconds=30, or_say=log.read_text)
    yield url
    process.terminate()
    process.wait(timeout=20)


def test_uvicorn_serves_it(uvicorn_url, joke, alice_key):
    def post(endpoint: str) -> str:
        request = urllib.request.Request(
            f"{uvicorn_url}/chains/joke/{endpoint}",
            json.dumps({"input": {"topic": "cats"}}).encode(),
            {"Authorization": f"Bearer {alice_key}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()

    assert json.loads(post("invoke"))["output"] == "cats"
    assert post("stream").endswith('data: "cats"\r\n\r\nevent: end\r\n\r\n')
    with urllib.request.urlopen(f"{uvicorn_url}/account/sign-in/", timeout=10) as page:
        assert b"Sign in" in page.read()
