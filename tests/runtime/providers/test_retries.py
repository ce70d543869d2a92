"""A call of a model over real HTTP that is tried again."""

import time

import pytest

from chains.runtime import errors
from tests.conftest import free_port
from tests.runtime.helpers import BOTH, Ran, plan, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import (
    HELLO,
    answers,
    cut,
    error_event,
    fails,
    garbage,
    html,
    rate_limited,
)


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
    "400": (fails(400, "Unknown role.", code="invalid_request"), "provider_refused"),
    "too long": (fails(400), "context_too_long"),
    "401": (fails(401), "provider_auth_failed"),
    "403": (fails(403), "provider_auth_failed"),
    "404": (fails(404), "provider_refused"),
    "422": (fails(422), "provider_refused"),
    "no credit": (rate_limited("0", code="insufficient_quota"), "provider_rate_limited"),
    "garbage": (garbage(), "provider_garbage"),
    "another shape": (garbage('{"foo": 1}'), "provider_garbage"),
    "null": (garbage("null"), "provider_garbage"),
    "a web page": (html(), "provider_garbage"),
    "a web page with 404": (html(404), "provider_refused"),
}


@BOTH
@pytest.mark.parametrize("fault", FINAL)
async def test_what_trying_again_does_not_mend_is_not_tried_again(upstream, fault, streaming):
    behaviour, code = FINAL[fault]
    upstream.script(*[behaviour] * 3)

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream), streaming=streaming)

    assert (caught.value.code, len(upstream.requests)) == (code, 1)


UNREACHABLE = {
    "nobody listens": (
        {"base_url": "http://127.0.0.1:{port}/v1"},
        "127.0.0.1:{port} did not take the connection (Connection refused)",
    ),
    "no such name": ({"base_url": "http://nobody.invalid/v1"}, "the name nobody.invalid was not found"),
    "no proxy": (
        {"base_url": "http://api.example/v1", "proxy": "http://127.0.0.1:{port}"},
        "the proxy 127.0.0.1:{port} could not be reached",
    ),
}


@BOTH
@pytest.mark.parametrize("case", UNREACHABLE)
async def test_staff_is_told_why_a_provider_is_unreachable(case, streaming):
    reach, why = UNREACHABLE[case]
    port = free_port()
    nobody = target(
        kind="openai", model="m", **{name: text.format(port=port) for name, text in reach.items()}
    )
    ran = Ran()

    with pytest.raises(errors.ProviderUnreachable):
        await run(plan(step(nobody), run_timeout_s=5), streaming=streaming, into=ran)

    assert why.format(port=port) in ran.calls[0].tries[-1].told.message


@pytest.mark.alone
async def test_retry_after_is_obeyed_where_it_fits(upstream):
    upstream.script(rate_limited("0.3"))

    await run(one(upstream))

    first, second = upstream.requests
    assert 0.3 <= second.at - first.at < 0.6


@pytest.mark.alone
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
}


@pytest.mark.parametrize("fault", NOT_AGAIN)
async def test_nothing_is_tried_again_or_replaced_after_the_first_token(upstream, spare, fault):
    behaviour, code = NOT_AGAIN[fault]
    upstream.script(behaviour)
    ran = Ran()

    with pytest.raises(errors.ProviderError) as caught:
        await run(plan(step(target(upstream), target(spare))), into=ran)

    assert (caught.value.code, "".join(ran.chunks)) == (code, "Hello from")
    assert (len(upstream.requests), len(spare.requests)) == (1, 0)
    assert [t.outcome for call in ran.calls for t in call.tries] == ["failed"]


@BOTH
async def test_an_answer_that_is_whole_without_a_finish_reason_is_not_fetched_again(upstream, streaming):
    upstream.script(answers(finish_reason=None))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == (HELLO, "stop", 1)


async def test_a_finish_reason_of_an_earlier_run_does_not_count(upstream):
    upstream.script(answers("Hi", usage=False), cut(0, clean=True), cut(0, clean=True), cut(0, clean=True))
    first = await run(one(upstream))

    with pytest.raises(errors.ProviderCut):
        await run(one(upstream))

    assert (first.output, first.finish_reason) == ("Hi", "stop")
