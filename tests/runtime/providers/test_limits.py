"""Calls of a model over real HTTP, limited in time and number."""

import asyncio
import socket
import time

import pytest

from chains.runtime import errors
from tests.runtime.helpers import BOTH, Ran, plan, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import (
    HELLO,
    answers,
    rate_limited,
    silent,
    slow,
)

pytestmark = pytest.mark.alone

# --- Limited in time ---------------------------------------------------------------------------


async def timed(work) -> float:
    began = time.monotonic()
    with pytest.raises(errors.ProviderTimeout):
        await work
    return time.monotonic() - began


async def test_a_connection_that_is_not_accepted_times_out():
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(3)]
        for other in (waiting, *others):
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        taken = await timed(run(plan(step(target(kind="openai", base_url=url, model="m", connect_s=0.2)))))
        for other in others:
            other.close()

    assert 0.2 <= taken < 1


async def test_the_first_token_has_its_limit(upstream):
    upstream.script(slow(first_token_s=3))

    assert 0.2 <= await timed(run(one(upstream, first_token_s=0.2))) < 1
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


async def test_comments_do_not_put_the_first_token_off(upstream):
    upstream.script(slow(first_token_s=3, comment_s=0.05))

    assert await timed(run(one(upstream, first_token_s=0.2))) < 1


async def test_pieces_without_a_token_do_not_put_the_first_token_off():
    # Each of these words is only white space, which is a token; so the delays count one by one.
    blanks = step(target(first_token_s=0.2), extra={"delay_ms": 60, "reply": "", "words": 20})

    assert await timed(run(plan(blanks))) < 0.5


async def test_the_next_chunk_has_its_limit(upstream):
    upstream.script(answers(chunk_delay_s=3))
    ran = Ran()

    began = time.monotonic()
    with pytest.raises(errors.ProviderTimeout):
        await run(one(upstream, chunk_s=0.2), into=ran)

    assert (ran.chunks, len(upstream.requests)) == (["Hello"], 1)
    assert 0.2 <= time.monotonic() - began < 1


async def test_a_slow_stream_may_take_longer_than_any_limit_between_chunks(upstream):
    upstream.script(answers("a b c d", chunk_delay_s=0.15))

    assert (await run(one(upstream, chunk_s=0.4, first_token_s=0.4, answer_s=0.1))).output == "a b c d"


async def test_a_whole_answer_has_its_limit(upstream):
    upstream.script(slow(first_token_s=3))

    assert 0.2 <= await timed(run(one(upstream, answer_s=0.2), streaming=False)) < 1
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


@BOTH
async def test_the_whole_run_has_its_limit(upstream, streaming):
    upstream.script(answers("a b c d e f g h", chunk_delay_s=0.1))

    with pytest.raises(errors.RunTimeout):
        await run(one(upstream, run_timeout_s=0.3), streaming=streaming)

    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


async def test_waiting_for_another_try_is_within_the_runs_limit(upstream):
    upstream.script(*[rate_limited("0.7")] * 3)

    with pytest.raises(errors.ProviderRateLimited):
        await run(one(upstream, run_timeout_s=1.2))

    assert len(upstream.requests) == 2


# --- Places ------------------------------------------------------------------------------------


async def test_no_more_calls_are_under_way_than_there_are_places(upstream):
    upstream.script(*[slow(first_token_s=0.05)] * 6)
    capped = one(upstream, slug="capped", max_concurrency=2)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, upstream.active)
            await asyncio.sleep(0.002)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(run(capped) for _ in range(6)))
    watching.cancel()

    assert (most, len(upstream.requests)) == (2, 6)


async def test_a_run_that_is_cancelled_gives_its_place_back(upstream):
    upstream.script(silent())
    capped = one(upstream, slug="one-place", max_concurrency=1)
    running = asyncio.create_task(run(capped))
    await upstream.wait_for_async(lambda: len(upstream.requests) == 1)
    waiting = asyncio.create_task(run(capped))
    await asyncio.sleep(0.05)
    waiting.cancel()
    running.cancel()
    await asyncio.wait([running, waiting])

    assert (await run(capped)).output == HELLO
    assert len(upstream.requests) == 2
