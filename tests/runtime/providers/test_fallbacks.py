"""A call of a model over real HTTP in whose place another one is made."""

import pytest

from chains.runtime import errors
from tests.runtime.helpers import BOTH, plan, run, step, target
from tests.upstream import (
    HELLO,
    answers,
    fails,
    rate_limited,
    silent,
)


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
    assert [(call.provider, call.model, call.was_answered) for call in ran.calls] == [
        ("first", "test-model", False),
        ("second", "test-model", False),
        ("third", "other", True),
    ]
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
