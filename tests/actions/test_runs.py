"""The one entry: what is recorded of a run, whatever becomes of it and of who reads it."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.auth import Caller
from accounts.keys import issue_key
from chains.actions import owner
from chains.actions.runs import RunCall, check_batch, interrupt_runs, run_batch, run_chain, start_run
from chains.models import Chain, Price, Prompt, Provider, Run
from chains.runtime import errors
from chains.runtime.events import Chunk, Failed, Finished, Started, Step
from tests.conftest import add_chain, add_prompt, over_http, step
from tests.upstream import HELLO, answers, cut, fails, silent, slow

pytestmark = pytest.mark.usefixtures("shared_db")

BOTH = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


def call(caller: Caller, slug: str = "poem", value: object = None, **data) -> RunCall:
    value = {"topic": "cats"} if value is None else value
    return RunCall(**{"slug": slug, "caller": caller, "input": value, "source": "rest"} | data)


async def the_run() -> Run:
    return await Run.objects.aget()


async def events_of(stream) -> list:
    return [event async for event in stream]


async def statuses() -> list[str]:
    return sorted([run.status async for run in Run.objects.all()])


async def eventually(holds: Callable[[list[str]], bool]) -> None:
    """Return once it holds of the runs' statuses."""
    for _ in range(500):
        if holds(now := await statuses()):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"The runs ended as {now}.")


async def add(function, *args, **data):
    return await sync_to_async(function)(*args, **data)


# --- The record --------------------------------------------------------------------------------


@BOTH
async def test_the_row_is_there_before_the_provider_answers(as_alice, poem, upstream, streaming):
    upstream.script(slow(first_token_s=0.3))
    stream = await start_run(call(as_alice, streaming=streaming))
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 1)

    run = await the_run()

    assert (run.id, run.status, run.user_id) == (stream.run_id, "running", as_alice.user.pk)
    assert (run.input, run.output, run.ended_at) == ({"topic": "cats"}, None, None)
    assert run.worker.count("/") == 2
    await events_of(stream)
    assert (await the_run()).status == "succeeded"


@BOTH
async def test_a_success_is_recorded_with_its_figures(as_alice, poem, openai, upstream, streaming):
    await add(Price.objects.create, provider=openai, model="test-model", input_usd=2, output_usd=10)

    result = await run_chain(call(as_alice, streaming=streaming))

    run = await the_run()
    assert (run.output, run.status, run.finish_reason, run.error_code) == (HELLO, "succeeded", "stop", "")
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (4, 3, Decimal("0.000038"))
    assert (run.chain_slug, run.chain_version_number, run.prompt_versions) == ("poem", 1, {"poem": 1})
    assert (run.first_token_ms is not None) == streaming
    assert run.latency_ms == result.figures.latency_ms
    assert run.created_at <= run.ended_at <= timezone.now()
    assert run.calls == [
        {
            "step": "answer",
            "provider": "openai",
            "model": "test-model",
            "attempts": 1,
            "finish_reason": "stop",
            "input_tokens": 4,
            "output_tokens": 3,
            "cost_usd": "0.000038",
        }
    ]


async def test_a_price_that_is_not_known_is_no_cost_of_zero(as_alice, poem):
    assert (await run_chain(call(as_alice))).figures.cost_usd is None
    assert (await the_run()).cost_usd is None


async def test_a_cost_that_misses_a_step_is_no_cost(as_alice, openai, demo):
    await add(Price.objects.create, provider=openai, model="test-model", input_usd=2, output_usd=10)
    await add(add_prompt, "poem")
    await add(add_chain, "two", step("poem", name="first"), over_http("poem"))

    await run_chain(call(as_alice, "two"))

    run = await the_run()
    assert (run.cost_usd, len(run.calls), run.input_tokens) == (None, 2, 2)


async def test_the_latest_valid_price_counts(as_alice, poem, openai):
    now = timezone.now()
    for days, price in ((-2, 1), (-1, 10), (1, 1000)):
        await add(
            Price.objects.create,
            provider=openai,
            model="test-model",
            input_usd=0,
            output_usd=price,
            valid_from=now + timezone.timedelta(days=days),
        )

    assert (await run_chain(call(as_alice))).figures.cost_usd == Decimal("0.00003")


@BOTH
async def test_a_failure_is_recorded_with_its_code(as_alice, poem, upstream, streaming):
    upstream.script(fails(401, message="Wrong key {key}."))

    with pytest.raises(errors.ProviderAuthFailed):
        await run_chain(call(as_alice, streaming=streaming))

    run = await the_run()
    assert (run.status, run.error_code, run.output, run.calls) == ("failed", "provider_auth_failed", None, [])
    assert run.error_message == errors.ProviderAuthFailed.message
    assert run.latency_ms is not None
    assert run.ended_at is not None
    assert "CANARY" not in str(await Run.objects.values().aget())


async def test_what_was_streamed_before_a_failure_is_kept(as_alice, poem, upstream):
    upstream.script(cut(after_chunks=2))

    events = await events_of(await start_run(call(as_alice)))

    run = await the_run()
    assert (run.status, run.error_code, run.output) == ("failed", "provider_cut", "Hello from")
    assert run.first_token_ms is not None
    assert events[-1].figures.latency_ms == run.latency_ms


async def test_a_run_that_takes_too_long_is_recorded(as_alice, openai, upstream):
    await add(add_prompt, "poem")
    await add(add_chain, "short", over_http("poem"), timeouts={"run_s": 0.2})
    upstream.script(answers("a b c", chunk_delay_s=0.15))

    with pytest.raises(errors.RunTimeout):
        await run_chain(call(as_alice, "short"))

    run = await the_run()
    assert (run.status, run.error_code, run.output) == ("failed", "run_timeout", "a b")


@BOTH
async def test_what_no_database_keeps_is_replaced(as_alice, poem, upstream, streaming):
    upstream.script(answers("nul \x00 and \ud800 half", finish_reason="st\x00op" + "p" * 100))

    result = await run_chain(call(as_alice, streaming=streaming))

    run = await the_run()
    assert run.output == result.output == "nul \ufffd and \ufffd half"
    assert run.finish_reason == "st\ufffdop" + "p" * 59


async def test_a_partial_answer_that_no_database_keeps_is_replaced_too(as_alice, poem, upstream):
    upstream.script(cut(after_chunks=2, text="nul \x00 and more"))

    await events_of(await start_run(call(as_alice)))

    assert (await the_run()).output == "nul \ufffd"


async def test_a_fallback_that_answered_is_named(as_alice, openai, demo, upstream):
    await add(add_prompt, "poem")
    fallbacks = [{"provider": "openai", "model": "second"}]
    await add(add_chain, "safe", over_http("poem"), fallbacks=fallbacks)
    upstream.script(fails(404))

    await run_chain(call(as_alice, "safe"))

    assert (await the_run()).calls[0]["model"] == "second"


async def test_a_key_is_named_in_the_record(alice, joke):
    key = (await add(issue_key, user=alice, name="k", expires_at=None)).row

    await run_chain(call(Caller(user=alice, key=key), "joke"))

    assert (await the_run()).key_id == key.pk


# --- Events ------------------------------------------------------------------------------------


async def test_events_come_in_their_order(as_alice, poem):
    stream = await start_run(call(as_alice))
    events = await events_of(stream)

    kinds = [type(event) for event in events]
    assert kinds == [Started, Step, Chunk, Chunk, Chunk, Step, Finished]
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
    upstream.script(answers("a b c", chunk_delay_s=3))
    stream = await start_run(call(as_alice))
    async for event in stream:
        if isinstance(event, Chunk):
            stream.cancel()

    assert ((await the_run()).status, (await the_run()).output) == ("cancelled", "a")
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1, timeout=1)


async def test_a_run_may_be_cancelled_before_it_has_begun(as_alice, poem, upstream):
    stream = await start_run(call(as_alice))
    stream.cancel()

    assert [type(event) for event in await events_of(stream)] == [Started, Failed]
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
    assert 0 < waiting <= owner.READER_LAG
    stream.cancel()
    assert (await events_of(stream))[-1].status == "cancelled"
    assert (await the_run()).output.count("word") <= owner.READER_LAG + 1


async def test_a_reader_that_never_reads_is_ended_by_the_runs_limit(as_alice, demo):
    await add(add_prompt, "joke")
    await add(add_chain, "long", step(extra={"reply": "word " * 5000}), timeouts={"run_s": 0.3})
    stream = await start_run(call(as_alice, "long"))

    await stream.ended()

    assert (await the_run()).error_code == "run_timeout"
    assert isinstance((await events_of(stream))[-1], Failed)


# --- Batches -----------------------------------------------------------------------------------


async def test_a_batch_answers_in_its_order(as_alice, poem, upstream):
    upstream.script(slow(first_token_s=0.2, text="0"), slow(first_token_s=0.05, text="1"), answers("2"))
    calls = [call(as_alice, value={"topic": str(i)}, streaming=False) for i in range(3)]
    results = await run_batch(calls)

    runs_by_id = {run.id: run async for run in Run.objects.all()}
    assert [runs_by_id[r.run_id].input["topic"] for r in results] == ["0", "1", "2"]
    assert sorted(r.output for r in results) == ["0", "1", "2"]


async def test_a_batch_runs_a_few_at_a_time(as_alice, poem, upstream, settings):
    settings.BATCH_CONCURRENCY = 2
    upstream.script(*[slow(first_token_s=0.05)] * 6)
    running = asyncio.create_task(run_batch([call(as_alice, streaming=False)] * 6))
    most = 0
    while not running.done():
        most = max(most, upstream.active)
        await asyncio.sleep(0.005)

    assert (most, len(await running)) == (2, 6)


async def test_the_first_failure_of_a_batch_cancels_the_rest(as_alice, poem, upstream, settings):
    settings.BATCH_CONCURRENCY = 3
    upstream.script(silent(), silent(), fails(404), *[silent()] * 3)

    with pytest.raises(errors.ProviderRefused):
        await run_batch([call(as_alice, streaming=False)] * 6)

    await eventually(lambda now: set(now) == {"cancelled", "failed"} and now.count("failed") == 1)
    assert (await statuses()).count("cancelled") >= 2
    assert await upstream.wait_for_async(lambda: upstream.active == 0, timeout=1)


async def test_an_empty_batch_is_no_work(as_alice):
    assert await run_batch([]) == []


async def test_a_batch_is_checked_before_any_of_it_runs(as_alice, joke):
    good, bad = call(as_alice, "joke"), call(as_alice, "joke", {"topic": 3})

    with pytest.raises(errors.InvalidInput) as caught:
        await check_batch(good, [good, good, bad])

    assert caught.value.errors[0]["loc"] == [2, "topic"]
    assert not await Run.objects.aexists()


# --- The end of the process --------------------------------------------------------------------


async def test_every_run_of_the_process_can_be_interrupted(as_alice, poem, upstream):
    upstream.script(silent(), answers("a b c", chunk_delay_s=3))
    streams = [await start_run(call(as_alice)) for _ in range(2)]
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 2)

    for stream in interrupt_runs():
        await stream.ended()

    assert await statuses() == ["interrupted"] * 2
    for stream in streams:
        last = (await events_of(stream))[-1]
        assert (last.status, last.error.code) == ("interrupted", "interrupted")
    assert interrupt_runs() == []


# --- Who may run what --------------------------------------------------------------------------


async def test_a_chain_for_groups_is_not_there_for_others(as_alice, bob, joke):
    group = await Group.objects.acreate(name="writers")
    await as_alice.user.groups.aadd(group)
    await joke.groups.aadd(group)
    await Chain.objects.filter(pk=joke.pk).aupdate(access=Chain.Access.GROUPS)

    assert (await run_chain(call(as_alice, "joke"))).output == "cats"
    with pytest.raises(errors.ChainNotFound) as caught:
        await run_chain(call(Caller(user=bob, key=None), "joke"))

    assert str(caught.value) == errors.ChainNotFound.message
    assert await Run.objects.acount() == 1


async def test_one_sees_ones_own_runs_only(as_alice, bob, root, joke):
    await run_chain(call(as_alice, "joke"))

    seen = [await Run.objects.visible_to(user).acount() for user in (as_alice.user, bob, root)]
    assert seen == [1, 0, 0]


@pytest.mark.parametrize("ref", ["2", "staging", "0", "", "a\x00b", "\ud800", "9" * 30, "-1", "x" * 65])
async def test_a_version_that_is_not_there_is_not_replaced_by_another(as_alice, joke, ref):
    with pytest.raises(errors.ChainNotFound):
        await start_run(call(as_alice, "joke", ref=ref))


async def test_a_disabled_chain_is_not_there(as_alice, joke):
    await Chain.objects.filter(pk=joke.pk).aupdate(enabled=False)

    with pytest.raises(errors.ChainNotFound):
        await start_run(call(as_alice, "joke"))


async def test_what_a_chain_lacks_is_told_to_editors_only(as_alice, staff, joke):
    await Provider.objects.filter(slug="demo").aupdate(enabled=False)

    with pytest.raises(errors.InvalidSpec, match="'demo' is switched off"):
        await start_run(call(Caller(user=staff, key=None), "joke"))
    with pytest.raises(errors.InvalidSpec) as caught:
        await start_run(call(as_alice, "joke"))

    assert str(caught.value) == errors.InvalidSpec.message
    assert not await Run.objects.aexists()


async def test_an_input_that_does_not_fit_leaves_no_row(as_alice, joke):
    with pytest.raises(errors.InvalidInput):
        await start_run(call(as_alice, "joke", {"topic": ["x"]}))

    assert not await Run.objects.aexists()


async def test_a_run_keeps_its_versions_when_a_new_one_is_published(as_alice, poem, upstream):
    upstream.script(slow(first_token_s=0.2))
    stream = await start_run(call(as_alice))
    await add(add_prompt, "poem", "A song about {topic}")

    await events_of(stream)

    assert upstream.requests[0].body["messages"][0]["content"] == "A poem about cats"
    assert (await the_run()).prompt_versions == {"poem": 1}
    await run_chain(call(as_alice))
    assert upstream.requests[1].body["messages"][0]["content"] == "A song about cats"


async def test_a_record_outlives_the_chain_and_its_prompt(as_alice, joke):
    await run_chain(call(as_alice, "joke"))
    await Chain.objects.all().adelete()
    await Prompt.objects.all().adelete()

    run = await the_run()
    assert (run.chain_id, run.chain_version_id, run.chain_slug, run.output) == (None, None, "joke", "cats")
