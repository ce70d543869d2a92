"""The cast, the chains they run and the servers around them; real parts only."""

import contextlib
import gc
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.contrib.auth.models import Group
from django.db import connection, connections

from accounts.callers import Caller
from accounts.keys import issue_key
from accounts.models import User
from chains.actions.demo import seed_demo
from chains.models import Chain, Prompt, Provider
from chains.runtime import registry as chains_in_code
from chains.runtime.providers import KINDS
from chains.runtime.spec.chain import parse_spec
from chains.runtime.steps.prompts import PromptSpec
from tests.order import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401
from tests.upstream import Upstream

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """What is loaded by now stays."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """SQLite's side files stay where a thread still holds a connection."""
    name = str(connections["default"].settings_dict["TEST"]["NAME"])
    if name.endswith(".sqlite3"):
        for ending in ("", "-wal", "-shm"):
            Path(name + ending).unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def no_connection_left(django_db_setup: None) -> Iterator[None]:
    """Async tests reach the database through a thread of asgiref's; while it does, none can drop it."""
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.fixture
def shared_db(transactional_db: None) -> None:
    """A database that other threads see too."""


# --- The cast: alice owns, bob must see none of it, staff edits, root may do everything ---------


@pytest.fixture
def alice(db) -> User:
    return User.objects.create_user("alice", password="a long pass phrase")


@pytest.fixture
def bob(db) -> User:
    return User.objects.create_user("bob", password="another pass phrase")


@pytest.fixture
def staff(db) -> User:
    """An editor as a fresh installation has them: prompts and chains, nothing else."""
    seed_demo()
    user = User.objects.create_user("staff", password="a third pass phrase", is_staff=True)
    user.groups.add(Group.objects.get(name="editors"))
    return user


@pytest.fixture
def root(db) -> User:
    return User.objects.create_superuser("root", password="a fourth pass phrase")


@pytest.fixture
def as_alice(alice) -> Caller:
    return Caller(user=alice, key=None)


@pytest.fixture
def alice_key(alice) -> str:
    return issue_key(user=alice, name="tests", expires_at=None).secret


@pytest.fixture
def root_key(root) -> str:
    return issue_key(user=root, name="tests", expires_at=None).secret


@pytest.fixture
def bob_key(bob) -> str:
    return issue_key(user=bob, name="tests", expires_at=None).secret


# --- What they run -----------------------------------------------------------------------------


@pytest.fixture
def demo(db) -> Provider:
    return Provider.objects.get_or_create(slug="demo", defaults={"kind": "demo"})[0]


def add_prompt(slug: str, content: str = "{topic}", **data: Any) -> Prompt:
    """A prompt whose latest version is in production; ``data`` replaces the one human message."""
    prompt = Prompt.objects.get_or_create(slug=slug)[0]
    spec = {"messages": [{"role": "human", "content": content}], **data}
    version = prompt.save_spec(PromptSpec.model_validate(spec), author=None)
    prompt.point("production", version, by=None)
    return prompt


def step(prompt: str = "joke", *, name: str = "answer", extra: dict | None = None, **data: Any) -> dict:
    """A step of a spec, answered by the demo model at once unless ``data`` says otherwise."""
    demo = {"provider": "demo", "model": "demo-echo", "params": {"extra": {"delay_ms": 0} | (extra or {})}}
    return {"name": name, "prompt": {"slug": prompt}} | demo | data


def add_chain(slug: str, *steps: dict, **data: Any) -> Chain:
    """A chain whose latest version is in production."""
    chain = Chain.objects.get_or_create(slug=slug)[0]
    spec = parse_spec({"steps": list(steps), **data})
    chain.point("production", chain.save_spec(spec, author=None), by=None)
    return chain


@pytest.fixture
def joke(demo) -> Chain:
    """One step that repeats its one variable, ``topic``."""
    add_prompt("joke")
    return add_chain("joke", step())


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def openai(db, upstream) -> Provider:
    """The real langchain-openai, talking to ``upstream``."""
    return Provider.objects.create(
        slug="openai", kind="openai", base_url=upstream.base_url, api_key="sk-test-CANARY-0123456789"
    )


@pytest.fixture
def poem(openai) -> Chain:
    """One step over HTTP: ``topic`` in, text out."""
    add_prompt("poem", "A poem about {topic}")
    return add_chain("poem", over_http("poem"))


def over_http(prompt: str, *, name: str = "answer", **data: Any) -> dict:
    return {"name": name, "prompt": {"slug": prompt}, "provider": "openai", "model": "test-model"} | data


@pytest.fixture
def registry() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    before = dict(chains_in_code._registered)
    yield
    chains_in_code._registered.clear()
    chains_in_code._registered.update(before)


@pytest.fixture
def kinds() -> Iterator[None]:
    """Kinds of provider that a test registers are forgotten after it."""
    before = dict(KINDS)
    yield
    KINDS.clear()
    KINDS.update(before)


# --- A server of its own -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Server:
    """``manage.py serve`` in a process of its own, on the test's database."""

    url: str
    process: subprocess.Popen
    log: Path

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)


def free_port() -> int:
    """Below those that the system gives to connections: until a server listens, one could take it."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def database_url() -> str:
    """The test's database, for another process."""
    data = connections["default"].settings_dict
    if data["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{data['NAME']}"
    login = data["USER"] + (f":{data['PASSWORD']}" if data["PASSWORD"] else "")
    return f"postgres://{login}@{data['HOST']}:{data['PORT']}/{data['NAME']}"


def environment_of_servers(port: int) -> dict[str, str]:
    return {
        **os.environ,
        "DEBUG": "on",
        "DATABASE_URL": database_url(),
        "PORT": str(port),
        "DATABASE_POOL_SIZE": "4",
    }


def start_server(log: Path, *, process_group: int | None = None, **environment: str) -> Server:
    port = free_port()
    variables = environment_of_servers(port) | environment
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=output,
            process_group=process_group,
        )
    server = Server(url=f"http://127.0.0.1:{port}", process=process, log=log)
    try:
        wait_until(lambda: answers(f"{server.url}/readyz"), seconds=60, or_say=log.read_text)
    except BaseException:
        process.kill()
        raise
    return server


def stop_server(server: Server) -> int:
    server.process.terminate()
    return server.process.wait(timeout=30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def rename_table(old: str, new: str) -> None:
    """Whoever asks for it under its name gets the database's error."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def wait_until(
    happened: Callable[[], Any], *, seconds: float = 5, or_say: Callable[[], str] = lambda: ""
) -> None:
    """Return once it has; fail with a word from ``or_say`` if it has not in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(f"It did not happen within {seconds} s. {or_say()}")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def shared_server(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    server = start_server(log)
    yield server
    stop_server(server)


@pytest.fixture
def server(shared_server, transactional_db) -> Server:
    """A running server that sees what the test writes."""
    return shared_server
