"""The supervisor alone, with processes that misbehave."""

import asyncio
import resource
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from chainhub.server.processes import Supervisor, listen

# They get the number of their lifeline, and say "ready" on it.
READY = "import os, sys, time; os.write(int(sys.argv[1]), b'.');"


@pytest.fixture(autouse=True)
def signals_of_pytest() -> Iterator[None]:
    """A supervisor keeps those that stop it, to the end of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def supervise(
    script: str, *, stop_when: Callable[[list[int]], bool] | None = None, **options
) -> tuple[bool, list[int]]:
    """Whether it ended well, and the process ids in the order in which they ended.

    It is told to stop when those that have ended say so.
    """
    buried: list[int] = []

    async def run() -> bool:
        supervisor = Supervisor(
            ["-c", script, "{lifeline}"],
            listening=listen("127.0.0.1", 0, backlog=5),
            buried=buried.append,
            **{"count": 2, "stop_within_s": 5, **options},
        )
        running = asyncio.create_task(supervisor.run())
        if stop_when is not None:
            await happens(lambda: stop_when(buried))
            supervisor.stop()
        return await running

    return asyncio.run(run()), buried


async def happens(it: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not it():  # noqa: ASYNC110 - what a process does sets no event here
            await asyncio.sleep(0.01)


def test_where_none_gets_ready_the_server_stops(caplog):
    ended_well, buried = supervise("raise SystemExit(3)")

    assert not ended_well
    assert len(buried) == 2
    assert "ended with 3 before it was ready: the server stops" in caplog.text


def test_one_that_keeps_dying_is_replaced_ever_later(caplog):
    began = time.monotonic()

    _, buried = supervise(
        READY + "time.sleep(0.05)",
        stop_when=lambda buried: len(buried) >= 6 and time.monotonic() - began >= 2,
    )

    # Two at once, two right after them, two after a second; the next ones would come two seconds later.
    assert len(buried) == 6
    starts = [
        record.getMessage().partition("; ")[2] for record in caplog.records if record.levelname == "ERROR"
    ]
    assert sorted(starts) == sorted(
        [f"the next one starts {when}" for when in ("now", "in 1 s", "in 2 s") for _ in range(2)]
    )


def test_one_that_cannot_be_started_is_tried_again(caplog):
    """As where the machine has no room for another process, for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def run() -> bool:
        supervisor = Supervisor(
            ["-c", READY + "time.sleep(0.3)", "{lifeline}"],
            listening=listen("127.0.0.1", 0, backlog=5),
            count=1,
            stop_within_s=5,
        )
        running = asyncio.create_task(supervisor.run())
        await happens(lambda: "is ready" in caplog.text)
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, hard))
        await happens(lambda: "could not be started" in caplog.text)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await happens(lambda: caplog.text.count("is ready") >= 2)
        supervisor.stop()
        return await running

    try:
        ended_well = asyncio.run(run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "could not be started ([Errno 24] Too many open files); the next one starts" in caplog.text
    assert ended_well


def test_one_that_hangs_before_it_is_ready_is_killed(tmp_path, caplog):
    """Only the second one does: where none gets ready, the server stops."""
    seen = tmp_path / "seen"
    script = f"if os.path.exists('{seen}'): time.sleep(60)\nopen('{seen}', 'w'); "

    ended_well, buried = supervise(
        f"import os, sys, time\n{script}{READY}time.sleep(0.1)",
        count=1,
        stop_when=lambda buried: len(buried) >= 2,
        ready_within_s=1.5,
    )

    assert ended_well
    assert len(buried) >= 2
    assert f"Worker {buried[1]} hangs, and is killed" in caplog.text


def test_one_that_does_not_end_is_killed(caplog):
    began = time.monotonic()

    ended_well, buried = supervise(
        READY + "time.sleep(60)",
        stop_when=lambda _: caplog.text.count("is ready") == 2,
        stop_within_s=0.5,
    )

    assert not ended_well
    assert len(buried) == 2
    assert time.monotonic() - began < 5
    assert "does not end, and is killed" in caplog.text
