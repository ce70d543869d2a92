"""ChainHub and LangServe beside each other, each in a process of its own, with the same runnables."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chains.models import Chain
from tests.conftest import ROOT, Server, answers, free_port, start_server, stop_server, wait_until

SECRETS = {
    "CANARY_SECRET": "CANARY-of-the-environment",
    "SECRET_KEY": "CANARY-of-the-settings-0123456789-0123456789-0123456789",
    "OPENAI_API_KEY": "sk-proj-CANARYofanoperator0123456789",
}
"""What the server's environment holds and nobody may ever see."""


@dataclass(frozen=True, kw_only=True)
class Hub:
    """ChainHub as its clients know it; ``log`` is what its process has written."""

    url: str
    key: str
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def at(self, chain: str) -> str:
        return f"{self.url}/chains/{chain}"


@pytest.fixture(scope="session")
def compat_log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("compat") / "log"


@pytest.fixture(scope="session")
def compat_server(django_db_setup, django_db_blocker, compat_log) -> Iterator[Server]:
    server = start_server(compat_log, CHAINHUB_RUNNABLES="tests.compat.registered", **SECRETS)
    yield server
    stop_server(server)


@pytest.fixture
def hub(compat_server, compat_log, transactional_db, alice_key) -> Hub:
    return Hub(url=compat_server.url, key=alice_key, log=compat_log)


@pytest.fixture
def instructed(hub) -> Chain:
    """The one chain whose callers may send system messages."""
    allowed = {"kind": Chain.Kind.CODE, "expose_steps": True, "system_messages": True}
    return Chain.objects.update_or_create(slug="instructed", defaults=allowed)[0]


@pytest.fixture(scope="session")
def starting_langserve() -> Iterator[str]:
    """The address of a LangServe that answers soon."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.compat.langserve_app", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def langserve(starting_langserve) -> str:
    """The address of a LangServe."""
    wait_until(lambda: answers(f"{starting_langserve}/docs"), seconds=30)
    return starting_langserve
