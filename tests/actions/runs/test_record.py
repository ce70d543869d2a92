"""What is recorded of a run, however it ends."""

import asyncio
import threading
from copy import copy
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.callers import Caller
from accounts.keys import issue_key
from chains.actions.runs import run_chain, start_run
from chains.actions.runs.recorder import Recorder
from chains.actions.runs.workers import interrupt_lost_runs
from chains.models import Price, Run
from chains.models.runs import LOST_AFTER_S
from chains.runtime import errors
from chains.runtime.events import Finished
from tests.actions.runs.helpers import BOTH, add, call, events_of, eventually, the_run
from tests.conftest import add_chain, add_prompt, over_http, rename_table, step
from tests.upstream import HELLO, answers, cut, fails, held, raw
from tests.upstream.completions import STOP, chunk, events, texts

pytestmark = pytest.mark.usefixtures("shared_db")


@BOTH
async def test_the_row_is_there_before_the_provider_answers(as_alice, poem, upstream, streaming):
    released = threading.Event()
    upstream.script(held(HELLO, after_chunks=0, until=released))
    stream = await start_run(call(as_alice, streaming=streaming))
    assert await upstream.wait_for_async(lambda: len(upstream.requests) == 1)

    await eventually(lambda now: now == ["running"])

    run = await the_run()
    assert (run.id, run.status, run.user_id) == (stream.run_id, "running", as_alice.user.pk)
    assert (run.input, run.output, run.ended_at) == ({"topic": "cats"}, None, None)
    assert run.worker.count("/") == 2
    released.set()
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
    (call_row,) = run.calls
    (tried,) = call_row.pop("tries")
    assert (tried["outcome"], tried["first_ms"] <= tried["ms"] <= run.latency_ms) == ("answered", True)
    assert call_row == {
        "step": "answer",
        "provider": "openai",
        "model": "test-model",
        "attempts": 1,
        "finish_reason": "stop",
        "input_tokens": 4,
        "output_tokens": 3,
        "cost_usd": "0.000038",
    }


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
    assert (run.status, run.error_code, run.output) == ("failed", "provider_auth_failed", None)
    (tried,) = run.calls[0]["tries"]
    assert (tried["outcome"], tried["code"], tried["status"]) == ("failed", "provider_auth_failed", 401)
    assert tried["detail"]["message"] == "Wrong key …."
    assert (run.cost_usd, run.cost_is_minimum) == (0, False)
    assert run.error_message == errors.ProviderAuthFailed.message
    assert run.latency_ms is not None
    assert run.ended_at is not None
    assert "CANARY" not in str(await Run.objects.values().aget())


@BOTH
async def test_an_answer_that_cannot_be_parsed_is_kept_as_a_text(as_alice, openai, upstream, streaming):
    await add(add_prompt, "poem")
    await add(add_chain, "json", over_http("poem", parser={"kind": "json"}))
    upstream.script(answers("Sorry, no."))

    with pytest.raises(errors.OutputInvalid):
        await run_chain(call(as_alice, "json", streaming=streaming))

    run = await the_run()
    assert (run.status, run.output) == ("failed", "Sorry, no.")
    assert (run.input_tokens, run.calls[0]["tries"][0]["outcome"]) == (1, "answered")


@BOTH
async def test_what_an_earlier_step_said_is_kept_for_staff_only(as_alice, openai, upstream, streaming):
    await add(add_prompt, "poem")
    await add(add_chain, "two", over_http("poem", name="first"), over_http("poem"))
    upstream.script(answers("INNER"), fails(401))

    with pytest.raises(errors.ProviderAuthFailed):
        await run_chain(call(as_alice, "two", streaming=streaming))

    run = await the_run()
    assert (run.output, run.calls[-1]["said"]) == (None, "INNER")
    assert "INNER" not in str(run.public_calls)


async def test_a_call_that_broke_off_makes_the_cost_a_minimum(as_alice, openai, upstream):
    await add(Price.objects.create, provider=openai, model="test-model", input_usd=2, output_usd=10)
    await add(add_prompt, "poem")
    await add(add_chain, "two", over_http("poem", name="first"), over_http("poem"))
    upstream.script(answers(), cut(after_chunks=2))

    await events_of(await start_run(call(as_alice, "two")))

    run = await the_run()
    assert (run.status, run.cost_usd, run.cost_is_minimum) == ("failed", Decimal("0.000032"), True)


async def test_reasoning_and_the_providers_words_are_for_staff(as_alice, poem, upstream):
    thought = chunk({"reasoning_content": "secret thought"})
    upstream.script(fails(503, message="secret words"), raw(events(thought, *texts("Hi"), STOP)))

    await run_chain(call(as_alice))

    run = await the_run()
    assert run.calls[0]["reasoning"] == "secret thought"
    assert run.calls[0]["tries"][0]["detail"]["message"] == "secret words"
    assert "secret" not in str(run.public_calls)
    assert run.public_calls[0]["tries"][0]["status"] == 503


async def test_what_was_streamed_before_a_failure_is_kept(as_alice, poem, upstream):
    upstream.script(cut(after_chunks=2))

    events = await events_of(await start_run(call(as_alice)))

    run = await the_run()
    assert (run.status, run.error_code, run.output) == ("failed", "provider_cut", "Hello from")
    assert run.first_token_ms is not None
    assert events[-1].figures.latency_ms == run.latency_ms


async def test_a_run_that_takes_too_long_is_recorded(as_alice, openai, upstream):
    await add(add_prompt, "poem")
    await add(add_chain, "short", over_http("poem"), timeouts={"run_s": 1})
    upstream.script(held("a b c", after_chunks=2))

    with pytest.raises(errors.RunTimeout):
        await run_chain(call(as_alice, "short"))

    run = await the_run()
    assert (run.status, run.error_code, run.output) == ("failed", "run_timeout", "a b")


@BOTH
async def test_an_end_is_recorded_once_the_database_answers_again(as_alice, poem, upstream, streaming):
    """The table goes by another name for a while, so that every write fails."""
    released = threading.Event()
    upstream.script(held("one two", after_chunks=0, until=released))
    stream = await start_run(call(as_alice, streaming=streaming))
    await eventually(lambda now: now == ["running"])
    await add(rename_table, "chains_run", "elsewhere")
    try:
        released.set()
        ending = asyncio.create_task(events_of(stream))
        await asyncio.sleep(0.5)
        assert not ending.done()
    finally:
        await add(rename_table, "elsewhere", "chains_run")

    assert isinstance((await ending)[-1], Finished)
    run = await the_run()
    assert (run.status, run.output, run.input_tokens) == ("succeeded", "one two", 4)


async def test_a_run_that_others_took_for_lost_ends_as_it_did(as_alice, poem, upstream):
    """As after an outage of the database, when the first to be back looks for runs that were not heard of."""
    released = threading.Event()
    upstream.script(held("one two", until=released))
    stream = await start_run(call(as_alice))
    await eventually(lambda now: now == ["running"])
    long_ago = timezone.now() - timedelta(seconds=LOST_AFTER_S + 1)
    await Run.objects.aupdate(worker="elsewhere/1/1", seen_at=long_ago)
    assert await add(interrupt_lost_runs) == 1

    released.set()
    await events_of(stream)

    run = await the_run()
    assert (run.status, run.error_code, run.output, run.input_tokens) == ("succeeded", "", "one two", 4)


@BOTH
async def test_what_no_database_keeps_is_replaced(as_alice, poem, upstream, streaming):
    upstream.script(answers("nul \x00 and \ud800 half", finish_reason="st\x00op" + "p" * 100))

    result = await run_chain(call(as_alice, streaming=streaming))

    run = await the_run()
    assert run.output == result.output == "nul \ufffd and \ufffd half"
    assert run.calls[0]["raw_finish_reason"] == "st\ufffdop" + "p" * 59


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

    first, second = (await the_run()).calls
    assert (first["model"], first["tries"][0]["status"]) == ("test-model", 404)
    assert (second["model"], second["tries"][0]["outcome"]) == ("second", "answered")


async def test_a_key_is_named_in_the_record(alice, joke):
    key = (await add(issue_key, user=alice, name="k", expires_at=None)).row

    await run_chain(call(Caller(user=alice, key=key), "joke"))

    assert (await the_run()).key_id == key.pk


async def test_a_row_that_is_there_although_its_writing_failed_gets_its_end(as_alice, joke):
    """As where the database's answer is lost on its way."""
    run = Run(chain_slug="joke", user=as_alice.user, source="sse")
    await add(copy(run).save)
    run.status, run.output, run.ended_at = "succeeded", "cats", timezone.now()

    await Recorder().end(run)

    assert ((await the_run()).status, (await the_run()).output) == ("succeeded", "cats")
