"""Many callers at once, of whom half leave: nobody hears another's answer, and nothing stays behind."""

import asyncio
import json
import os
import random
import time

import pytest

from chains.models import Run
from tests.conftest import add_chain, add_prompt, step, stop_server, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

REQUESTS, AT_ONCE = 2000, 40
# Connections of the database's pool and of threads come and go.
SPARE_FILES = 12


async def ask(url: str, key: str, number: int, patience_s: float | None) -> str | None:
    """The answer's body; ``None`` where the caller lost patience, and hung up."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        body = json.dumps({"input": {"topic": topic(number)}})
        endpoint = "stream" if number % 2 else "invoke"
        head = f"POST /chains/joke/{endpoint} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        writer.write(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        async with asyncio.timeout(patience_s):
            return (await reader.read()).decode()
    except TimeoutError:
        return None
    finally:
        writer.close()


def topic(number: int) -> str:
    return f"first-{number}-a second-{number}-b third-{number}-c"


async def crowd(url: str, key: str) -> list[tuple[int, str | None]]:
    chance = random.Random(1)
    plans = [(n, chance.uniform(0, 0.12) if chance.random() < 0.5 else None) for n in range(REQUESTS)]
    left = iter(plans)

    async def one_after_another() -> list[tuple[int, str | None]]:
        return [(n, await ask(url, key, n, patience_s)) for n, patience_s in left]

    return [
        one for some in await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE))) for one in some
    ]


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_nobody_hears_another_and_nothing_stays_behind(start, alice_key, demo):
    server = start()
    add_prompt("joke")
    add_chain("joke", step(extra={"delay_ms": 10}))
    asyncio.run(ask(server.url, alice_key, 0, None))
    before = open_files(server.process.pid)

    heard = asyncio.run(crowd(server.url, alice_key))

    answers = [(number, body) for number, body in heard if body is not None]
    assert REQUESTS * 0.4 < len(answers) < REQUESTS * 0.9
    for number, body in answers:
        assert body.startswith("HTTP/1.1 200"), body
        assert all(word in body for word in topic(number).split()), body
        assert body.count("first-") == body.count("third-") == 1
    wait_until(lambda: not Run.objects.running().exists(), seconds=10)
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded", "cancelled"}
    wait_until(lambda: open_files(server.process.pid) <= before + SPARE_FILES, seconds=10)
    # Nothing is under way, so there is nothing to wait for.
    began = time.monotonic()
    assert stop_server(server) == 0
    assert time.monotonic() - began < 3
