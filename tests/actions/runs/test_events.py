"""What a run tells, and how whoever reads it changes its pace but not its end."""

import asyncio

import pytest

from chains.actions.runs import start_run
from chains.actions.runs.buffer import READER_LAG
from chains.runtime.events import Call, Chunk, Failed, Finished, Started, Step
from tests.actions.runs.helpers import add, call, events_of, the_run
from tests.conftest import add_chain, add_prompt, step
from tests.upstream import HELLO, slow

pytestmark = pytest.mark.usefixtures("shared_db")


# --- Events ------------------------------------------------------------------------------------


async def test_events_come_in_their_order(as_alice, poem):
    stream = await start_run(call(as_alice))
    events = await events_of(stream)

    kinds = [type(event) for event in events]
    assert kinds == [Started, Step, Call, Chunk, Chunk, Chunk, Call, Step, Finished]
    assert events[0] == stream.started
    assert "".join(e.value for e in events if isinstance(e, Chunk)) == events[-1].output == HELLO
    assert events[-1].finish_reason == "stop"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_the_end_is_recorded_before_it_is_told(as_alice, poem):
    async for event in await start_run(call(as_alice)):
        if isinstance(event, Finished):
            assert (await the_run()).status == "succeeded"


async def test_waiting_for_an_event_may_be_taken_up_again(as_alice, poem, upstream):
    upstream.script(slow(first_token_s=0.2))
    stream = await start_run(call(as_alice))
    events = []
    while not events or not isinstance(events[-1], Finished):
        try:
            async with asyncio.timeout(0.03):
                events.append(await anext(stream))
        except TimeoutError:
            continue

    assert "".join(event.value for event in events if isinstance(event, Chunk)) == HELLO


# --- Readers -----------------------------------------------------------------------------------


async def test_a_reader_that_stops_reading_does_not_stop_the_run(as_alice, joke):
    stream = await start_run(call(as_alice, "joke"))
    await anext(stream)
    await stream.ended()

    assert (await the_run()).status == "succeeded"


async def test_a_slow_reader_slows_the_provider_down(as_alice, demo):
    await add(add_prompt, "joke")
    await add(add_chain, "long", step(extra={"reply": "word " * 5000}), timeouts={"run_s": 5})
    stream = await start_run(call(as_alice, "long"))
    await asyncio.sleep(0.5)

    waiting = stream._owner.events._queue.qsize()
    assert 0 < waiting <= READER_LAG
    stream.cancel()
    assert (await events_of(stream))[-1].status == "cancelled"
    assert (await the_run()).output.count("word") <= READER_LAG + 1


async def test_a_reader_that_never_reads_is_ended_by_the_runs_limit(as_alice, demo):
    await add(add_prompt, "joke")
    await add(add_chain, "long", step(extra={"reply": "word " * 5000}), timeouts={"run_s": 0.3})
    stream = await start_run(call(as_alice, "long"))

    await stream.ended()

    assert (await the_run()).error_code == "run_timeout"
    assert isinstance((await events_of(stream))[-1], Failed)
