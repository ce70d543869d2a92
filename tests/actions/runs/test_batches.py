"""Several runs for one call."""

import asyncio

import pytest

from chains.actions.runs import run_batch
from chains.actions.runs.call import RunCall
from chains.models import Run
from chains.runtime import errors
from tests.actions.runs.helpers import call, eventually, statuses
from tests.upstream import answers, fails, silent, slow

pytestmark = pytest.mark.usefixtures("shared_db")


def six(one: RunCall) -> tuple[RunCall, list[RunCall]]:
    return one, [one] * 6


async def test_a_batch_answers_in_its_order(as_alice, poem, upstream):
    upstream.script(slow(first_token_s=0.2, text="0"), slow(first_token_s=0.05, text="1"), answers("2"))
    calls = [call(as_alice, value={"topic": str(i)}, streaming=False) for i in range(3)]
    results = await run_batch(calls[0], calls)

    runs_by_id = {run.id: run async for run in Run.objects.all()}
    assert [runs_by_id[r.run_id].input["topic"] for r in results] == ["0", "1", "2"]
    assert sorted(r.output for r in results) == ["0", "1", "2"]


async def test_a_batch_runs_a_few_at_a_time(as_alice, poem, upstream, settings):
    settings.BATCH_CONCURRENCY = 2
    upstream.script(*[slow(first_token_s=0.05)] * 6)
    running = asyncio.create_task(run_batch(*six(call(as_alice, streaming=False))))
    most = 0
    while not running.done():
        most = max(most, upstream.active)
        await asyncio.sleep(0.005)

    assert (most, len(await running)) == (2, 6)


async def test_the_first_failure_of_a_batch_cancels_the_rest(as_alice, poem, upstream, settings):
    settings.BATCH_CONCURRENCY = 3
    upstream.script(silent(), silent(), fails(404), *[silent()] * 3)

    with pytest.raises(errors.ProviderRefused):
        await run_batch(*six(call(as_alice, streaming=False)))

    await eventually(lambda now: set(now) == {"cancelled", "failed"} and now.count("failed") == 1)
    assert (await statuses()).count("cancelled") >= 2
    assert await upstream.wait_for_async(lambda: upstream.active == 0, timeout=1)


async def test_an_empty_batch_is_no_work(as_alice, poem):
    assert await run_batch(call(as_alice), []) == []


async def test_a_batch_is_checked_before_any_of_it_runs(as_alice, joke):
    good, bad = call(as_alice, "joke"), call(as_alice, "joke", {"topic": 3})

    with pytest.raises(errors.InvalidInput) as caught:
        await run_batch(good, [good, good, bad])

    assert caught.value.errors[0]["loc"] == [2, "topic"]
    assert not await Run.objects.aexists()
