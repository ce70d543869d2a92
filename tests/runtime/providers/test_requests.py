"""What is sent to a provider, and what is counted."""

import pytest

from chains.runtime import errors
from chains.runtime.pricing import Price, Usage
from tests.runtime.helpers import BOTH, plan, prompt, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import (
    HELLO,
    answers,
)


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
