"""One call of a model over real HTTP: tried again, replaced, limited in time, and never believed."""

import asyncio
import logging
import socket
import time

import pytest
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.calls import MAX_ANSWER_CHARS
from chains.runtime.pricing import Price, Usage
from tests.conftest import free_port
from tests.runtime.plans import KEY, Ran, plan, prompt, run, step, target
from tests.upstream import (
    HELLO,
    Upstream,
    answers,
    cut,
    error_event,
    fails,
    garbage,
    html,
    rate_limited,
    redirects,
    silent,
    slow,
)

BOTH = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


@pytest.fixture
def spare():
    """Another provider, which stands in."""
    with Upstream() as server:
        yield server


def one(upstream, *, run_timeout_s: float = 10, parser: str = "text", **data):
    return plan(step(target(upstream, **data), parser=parser), run_timeout_s=run_timeout_s)


# --- Tried again -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "fault",
    [fails(408), fails(409), rate_limited("0"), fails(500), fails(503), cut(0), error_event(0)],
    ids=["408", "409", "429", "500", "503", "cut", "error event"],
)
async def test_a_passing_fault_before_the_first_token_is_tried_again(upstream, fault, streaming):
    upstream.script(fault)

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.calls[0].attempts, len(upstream.requests)) == (HELLO, 2, 2)


@BOTH
async def test_a_clean_end_without_a_finish_reason_is_a_cut_and_tried_again(upstream, streaming):
    upstream.script(cut(0, clean=True))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, len(upstream.requests)) == (HELLO, 2)


async def test_a_fault_that_stays_is_tried_three_times(upstream):
    upstream.script(*[rate_limited("0")] * 9)

    with pytest.raises(errors.ProviderRateLimited):
        await run(one(upstream))

    assert len(upstream.requests) == 3


FINAL = {
    "400": (fails(400, code="invalid_request"), "provider_refused"),
    "too long": (fails(400), "context_too_long"),
    "401": (fails(401), "provider_auth_failed"),
    "403": (fails(403), "provider_auth_failed"),
    "404": (fails(404), "provider_refused"),
    "422": (fails(422), "provider_refused"),
    "no credit": (rate_limited("0", code="insufficient_quota"), "provider_rate_limited"),
    "garbage": (garbage(), "provider_garbage"),
    "another shape": (garbage('{"foo": 1}'), "provider_"),
    "null": (garbage("null"), "provider_"),
    "a web page": (html(), "provider_"),
    "a web page with 404": (html(404), "provider_refused"),
}


@BOTH
@pytest.mark.parametrize("fault", FINAL)
async def test_what_trying_again_does_not_mend_is_not_tried_again(upstream, fault, streaming):
    behaviour, code = FINAL[fault]
    upstream.script(*[behaviour] * 3)

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream), streaming=streaming)

    assert caught.value.code.startswith(code)
    assert len(upstream.requests) == 1 or caught.value.retryable


@BOTH
async def test_a_provider_that_refuses_the_connection_is_unreachable(streaming):
    nobody = target(kind="openai", base_url=f"http://127.0.0.1:{free_port()}/v1", model="m")

    with pytest.raises(errors.ProviderUnreachable):
        await run(plan(step(nobody), run_timeout_s=1), streaming=streaming)


async def test_a_host_without_an_address_is_unreachable():
    nobody = target(kind="openai", base_url="http://nobody.invalid/v1", model="m")

    with pytest.raises(errors.ProviderUnreachable):
        await run(plan(step(nobody), run_timeout_s=0.5))


async def test_retry_after_is_obeyed_where_it_fits(upstream):
    upstream.script(rate_limited("0.3"))

    await run(one(upstream))

    first, second = upstream.requests
    assert 0.3 <= second.at - first.at < 0.6


@BOTH
@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_beyond_the_deadline_fails_at_once_and_is_passed_on(upstream, status, streaming):
    refusal = rate_limited("3600")
    upstream.script(type(refusal)(status, "Busy", "busy", None, (("retry-after", "3600"),)))
    began = time.monotonic()

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream), streaming=streaming)

    assert (caught.value.retry_after_s, len(upstream.requests)) == (3600, 1)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "inf", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
async def test_a_retry_after_that_is_no_number_counts_as_absent(upstream, header):
    upstream.script(rate_limited(header, code="insufficient_quota"))

    with pytest.raises(errors.ProviderRateLimited) as caught:
        await run(one(upstream))

    assert caught.value.retry_after_s is None


NOT_AGAIN = {
    "cut": (cut(2), "provider_cut"),
    "cut clean": (cut(2, clean=True), "provider_cut"),
    "error event": (error_event(2), "provider_failed"),
    "no finish reason": (answers("Hello from", finish_reason=None), "provider_cut"),
}


@pytest.mark.parametrize("fault", NOT_AGAIN)
async def test_nothing_is_tried_again_or_replaced_after_the_first_token(upstream, spare, fault):
    behaviour, code = NOT_AGAIN[fault]
    upstream.script(behaviour)
    ran = Ran()

    with pytest.raises(errors.ProviderError) as caught:
        await run(plan(step(target(upstream), target(spare))), into=ran)

    assert (caught.value.code, "".join(ran.chunks)) == (code, "Hello from")
    assert (len(upstream.requests), len(spare.requests), ran.calls) == (1, 0, [])


async def test_a_whole_answer_without_a_finish_reason_is_cut(upstream):
    upstream.script(*[answers(finish_reason=None)] * 3)

    with pytest.raises(errors.ProviderCut):
        await run(one(upstream), streaming=False)


async def test_a_finish_reason_of_an_earlier_try_does_not_count(upstream):
    upstream.script(answers("", usage=False), cut(0, clean=True), cut(0, clean=True), cut(0, clean=True))
    empty = await run(one(upstream))

    with pytest.raises(errors.ProviderCut):
        await run(one(upstream))

    assert (empty.output, empty.finish_reason) == ("", "stop")


# --- Replaced ----------------------------------------------------------------------------------


@BOTH
async def test_fallbacks_stand_in_in_their_order(upstream, spare, streaming):
    upstream.script(fails(401))
    spare.script(fails(404), answers("Third"))
    targets = [
        target(upstream, slug="first"),
        target(spare, slug="second"),
        target(spare, slug="third", model="other"),
    ]

    ran = await run(plan(step(*targets)), streaming=streaming)

    assert ran.output == "Third"
    assert [(call.provider, call.model) for call in ran.calls] == [("third", "other")]
    assert [(status, who) for _, status, who in ran.steps] == [
        ("started", "first"),
        ("started", "second"),
        ("started", "third"),
        ("finished", "third"),
    ]


async def test_the_last_fallbacks_fault_is_the_steps(upstream, spare):
    upstream.script(fails(401))
    spare.script(fails(404))

    with pytest.raises(errors.ProviderRefused):
        await run(plan(step(target(upstream), target(spare))))


async def test_a_wait_that_is_too_long_makes_way_for_the_fallback(upstream, spare):
    upstream.script(rate_limited("3600"))

    ran = await run(plan(step(target(upstream), target(spare))))

    assert (ran.output, len(upstream.requests)) == (HELLO, 1)


async def test_a_provider_that_is_too_slow_to_begin_makes_way_for_the_fallback(upstream, spare):
    upstream.script(silent())

    ran = await run(plan(step(target(upstream, first_token_s=0.2), target(spare))))

    assert ran.output == HELLO
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


async def test_an_answer_that_the_parser_refuses_is_not_replaced(upstream, spare):
    upstream.script(answers("no JSON"))

    with pytest.raises(errors.OutputInvalid):
        await run(plan(step(target(upstream), target(spare), parser="json")))

    assert (len(upstream.requests), len(spare.requests)) == (1, 0)


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
    upstream.script(*[rate_limited("0.2")] * 3)

    with pytest.raises(errors.ProviderRateLimited):
        await run(one(upstream, run_timeout_s=0.3))

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


# --- Never believed ----------------------------------------------------------------------------


@BOTH
async def test_a_redirect_is_not_followed(upstream, spare, streaming):
    for status in (302, 307):
        upstream.script(redirects(to=f"{spare.base_url}/chat/completions", status=status))
        with pytest.raises(errors.ProviderGarbage, match="redirect"):
            await run(one(upstream), streaming=streaming)

    assert (len(upstream.requests), spare.requests) == (2, [])


@BOTH
async def test_a_key_that_is_echoed_gets_nowhere(upstream, caplog, streaming):
    caplog.set_level(logging.DEBUG, logger="chains")
    upstream.script(fails(401, message="Wrong key {key}."))

    with pytest.raises(errors.ProviderAuthFailed) as caught:
        await run(one(upstream), streaming=streaming)

    assert upstream.requests[0].key == KEY
    assert KEY not in str(caught.value) + repr(caught.value) + caplog.text


async def test_a_provider_without_a_key_gets_none_of_the_environment(upstream, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "LANGSMITH_API_KEY", "LANGSMITH_GATEWAY_API_KEY"):
        monkeypatch.setenv(name, "sk-env-CANARY")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    ran = await run(one(upstream, api_key=SecretStr("")))

    assert ran.output == HELLO
    assert "CANARY" not in str(upstream.requests[0].headers)


@BOTH
async def test_an_answer_as_long_as_the_limit_is_kept(upstream, streaming):
    upstream.script(answers("x" * MAX_ANSWER_CHARS))

    assert len((await run(one(upstream), streaming=streaming)).output) == MAX_ANSWER_CHARS


@BOTH
@pytest.mark.parametrize("parser", ["text", "message", "json", "list"])
async def test_a_longer_answer_is_refused(upstream, parser, streaming):
    upstream.script(answers(" ".join(["x" * 400_000] * 3)))

    with pytest.raises(errors.OutputInvalid, match="longer"):
        await run(one(upstream, parser=parser), streaming=streaming)

    assert len(upstream.requests) == 1


async def test_a_prompt_that_is_too_long_is_never_sent(upstream):
    with pytest.raises(errors.InvalidInput, match="whole prompt"):
        await run(one(upstream), {"topic": "x" * (256 * 1024 + 1)})

    assert upstream.requests == []
    assert (await run(one(upstream), {"topic": "x" * (256 * 1024)})).output == HELLO


@BOTH
@pytest.mark.parametrize(
    ("reason", "kept"), [("length", "length"), ("x" * 100, "x" * 64), ("a\x00b", "a\ufffdb"), (5, "5")]
)
async def test_a_finish_reason_is_kept_as_far_as_it_can_be_stored(upstream, reason, kept, streaming):
    upstream.script(answers(finish_reason=reason))

    assert (await run(one(upstream), streaming=streaming)).finish_reason == kept


@BOTH
@pytest.mark.parametrize("tokens", [-1, 10**12])
async def test_figures_that_cannot_be_are_not_believed(upstream, tokens, streaming):
    usage = f'"usage": {{"prompt_tokens": {tokens}, "completion_tokens": 1, "total_tokens": 1}}'
    choice = '"index": 0, "finish_reason": "stop"'
    said = '{"role": "assistant", "content": "Hi"}'
    kind, key = ("chat.completion.chunk", "delta") if streaming else ("chat.completion", "message")
    upstream.script(
        garbage(
            f'{{"id": "1", "object": "{kind}", "created": 1, "model": "m", {usage}, '
            f'"choices": [{{{choice}, "{key}": {said}}}]}}'
        )
    )

    ran = await run(one(upstream, price=Price(input_usd=1, output_usd=1)), streaming=streaming)

    assert (ran.output, ran.calls[0].usage, ran.calls[0].cost_usd) == ("Hi", None, None)


# --- What is sent and what is counted ----------------------------------------------------------


@BOTH
async def test_every_parameter_reaches_the_provider(upstream, streaming):
    extra = {
        "top_p": 0.5,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "seed": 7,
        "stop": ["END"],
        "reasoning_effort": "low",
        "verbosity": "low",
        "service_tier": "flex",
    }
    asked = plan(step(target(upstream), temperature=0, max_tokens=9, extra=extra))

    await run(asked, streaming=streaming)

    sent = upstream.requests[0].body
    expected = {"model": "test-model", "temperature": 0, "max_tokens": 9, **extra}
    assert {name: sent.get(name) for name in expected} == expected
    assert set(sent) - set(expected) <= {"messages", "stream", "stream_options"}


async def test_nothing_is_sent_that_nobody_asked_for(upstream):
    await run(one(upstream))

    assert set(upstream.requests[0].body) == {"model", "messages", "stream", "stream_options"}


async def test_a_schema_is_sent_as_the_response_format(upstream):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    upstream.script(answers('{"n": 3}'))

    ran = await run(plan(step(target(upstream), parser={"kind": "schema", "json_schema": schema})))

    assert ran.output == {"n": 3}
    assert upstream.requests[0].body["response_format"]["json_schema"] == {"name": "answer", "schema": schema}


@pytest.mark.parametrize("extra", [{"top_p": "high"}, {"unknown": 1}, {"base_url": "http://x"}])
async def test_a_wrong_parameter_is_a_fault_of_the_configuration(upstream, extra):
    with pytest.raises(errors.InvalidSpec):
        await run(plan(step(target(upstream), extra=extra)))

    assert upstream.requests == []


async def test_messages_are_sent_in_their_roles(upstream):
    asks = prompt(
        {"role": "system", "content": "Be {tone}."},
        {"placeholder": "history"},
        {"role": "ai", "content": "Ready."},
        "{topic}",
    )
    history = [{"type": "human", "content": "{tone}"}, {"type": "ai", "content": "b"}]

    await run(plan(step(target(upstream), asks=asks)), {"tone": "kind", "topic": "x", "history": history})

    assert [(m["role"], m["content"]) for m in upstream.requests[0].body["messages"]] == [
        ("system", "Be kind."),
        ("user", "{tone}"),
        ("assistant", "b"),
        ("assistant", "Ready."),
        ("user", "x"),
    ]


@BOTH
async def test_tokens_and_cost_are_counted(upstream, streaming):
    ran = await run(one(upstream, price=Price(input_usd=2, output_usd=10)), streaming=streaming)

    call = ran.calls[0]
    assert call.usage == Usage(input_tokens=1, output_tokens=3)
    assert (call.cost_usd * 1_000_000, call.finish_reason) == (32, "stop")


@BOTH
async def test_a_provider_that_counts_nothing_has_no_figures(upstream, streaming):
    upstream.script(answers(usage=False))

    ran = await run(one(upstream, price=Price(input_usd=2, output_usd=10)), streaming=streaming)

    assert (ran.output, ran.calls[0].usage, ran.calls[0].cost_usd) == (HELLO, None, None)
