"""Runs that are stopped: by whoever asked for them, or with the process."""

import asyncio

import pytest

from chains.actions.runs import interrupt_runs, run_chain, start_run
from chains.runtime.events import Chunk, Failed, Finished, Started
from tests.actions.runs.helpers import BOTH, call, events_of, eventually, statuses, the_run
from tests.upstream import held, silent

pytestmark = pytest.mark.usefixtures("shared_db")


# --- Cancelled ---------------------------------------------------------------------------------


@BOTH
async def test_a_run_is_cancelled_and_the_provider_left(as_alice, poem, upstream, streaming):
    upstream.script(silent())
    stream = await start_run(call(as_alice, streaming=streaming))
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 1)

    stream.cancel()

    last = (await events_of(stream))[-1]
    assert (last.status, last.error.code) == ("cancelled", "cancelled")
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1, timeout=1)
    run = await the_run()
    assert (run.status, run.error_code, run.output) == ("cancelled", "cancelled", None)


async def test_what_was_streamed_before_a_cancellation_is_kept(as_alice, poem, upstream):
    upstream.script(held("a b c"))
    stream = await start_run(call(as_alice))
    async for event in stream:
        if isinstance(event, Chunk):
            stream.cancel()

    assert ((await the_run()).status, (await the_run()).output) == ("cancelled", "a")
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1, timeout=1)


async def test_a_run_may_be_cancelled_before_it_has_begun(as_alice, poem, upstream):
    stream = await start_run(call(as_alice))
    stream.cancel()

    events = await events_of(stream)
    assert (type(events[0]), type(events[-1])) == (Started, Failed)
    assert ((await the_run()).status, upstream.requests) == ("cancelled", [])


async def test_a_run_may_be_cancelled_twice_and_after_its_end(as_alice, poem, upstream):
    upstream.script(silent())
    stream = await start_run(call(as_alice))
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 1)
    for _ in range(3):
        stream.cancel()
        await asyncio.sleep(0)
    await stream.ended()
    stream.cancel()
    stream.cancel("interrupted")
    await asyncio.sleep(0)

    assert (await events_of(stream))[-1].status == "cancelled"
    assert (await the_run()).status == "cancelled"


async def test_a_cancellation_after_success_changes_nothing(as_alice, joke):
    stream = await start_run(call(as_alice, "joke"))
    await stream.ended()
    stream.cancel()
    await asyncio.sleep(0)

    assert isinstance((await events_of(stream))[-1], Finished)
    assert (await the_run()).status == "succeeded"


async def test_a_run_may_be_cancelled_from_another_thread(as_alice, poem, upstream):
    upstream.script(silent())
    stream = await start_run(call(as_alice))
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 1)

    await asyncio.to_thread(stream.cancel)
    await stream.ended()

    assert (await the_run()).status == "cancelled"


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_caller_that_leaves_while_the_run_is_prepared_leaves_no_running_row(
    as_alice, poem, upstream, turns
):
    upstream.script(silent())
    starting = asyncio.create_task(start_run(call(as_alice)))
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()

    # Nothing is written where it left at once; else the end follows the start.
    await eventually(lambda now: now == (["cancelled"] if turns else []))
    assert await upstream.wait_for_async(lambda: upstream.active == 0, timeout=1)


async def test_a_caller_of_run_chain_that_leaves_cancels_it(as_alice, poem, upstream):
    upstream.script(silent())
    running = asyncio.create_task(run_chain(call(as_alice, streaming=False)))
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 1)

    running.cancel()
    await asyncio.wait([running])
    await eventually(lambda now: now == ["cancelled"])
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1, timeout=1)


# --- The end of the process --------------------------------------------------------------------


async def test_every_run_of_the_process_can_be_interrupted(as_alice, poem, upstream):
    upstream.script(silent(), held("a b c"))
    streams = [await start_run(call(as_alice)) for _ in range(2)]
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 2)

    for stream in interrupt_runs():
        await stream.ended()

    assert await statuses() == ["interrupted"] * 2
    for stream in streams:
        last = (await events_of(stream))[-1]
        assert (last.status, last.error.code) == ("interrupted", "interrupted")
    assert interrupt_runs() == []
