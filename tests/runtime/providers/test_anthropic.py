"""Providers of the kind ``anthropic``: the real langchain-anthropic over HTTP."""

import asyncio
import logging

import pytest
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.pricing import Price
from tests.conftest import free_port
from tests.runtime.helpers import BOTH, KEY, Ran, plan, prompt, run, step, target
from tests.upstream import HELLO, anthropic, html, redirects

# langchain-anthropic knows that it takes a schema, and that it does not; it does not know the third.
NEW, OLD, UNKNOWN = "claude-sonnet-4-6", "claude-haiku-5-5", "claude-9"
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}},
    "required": ["n"],
}


def claude(upstream, path: str = "", model: str = NEW, **data):
    return target(kind="anthropic", base_url=upstream.url + path, model=model, **data)


def one(upstream, **data):
    return plan(step(claude(upstream, **data)))


@BOTH
async def test_an_answer_with_its_tokens_and_its_end(upstream, streaming):
    ran = await run(one(upstream, price=Price(input_usd=2, output_usd=10)), streaming=streaming)

    call = ran.calls[0]
    assert (ran.output, ran.finish_reason, call.raw_finish_reason) == (HELLO, "stop", "end_turn")
    assert (call.usage.input_tokens, call.usage.output_tokens) == (1, 3)
    assert call.cost_usd * 1_000_000 == 32
    assert len(upstream.requests) == 1


async def test_an_answer_streams(upstream):
    ran = await run(one(upstream))

    assert ran.chunks == ["Hello", " from", " upstream"]


@BOTH
@pytest.mark.parametrize(
    ("told", "means"),
    [
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
    ],
)
async def test_the_finish_reason_in_one_word_for_all_kinds(upstream, told, means, streaming):
    upstream.script(anthropic.says(stop_reason=told))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.finish_reason, ran.calls[0].raw_finish_reason) == (means, told)


@BOTH
async def test_tokens_of_the_cache_are_counted(upstream, streaming):
    cached = {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    upstream.script(anthropic.says(**cached))

    usage = (await run(one(upstream), streaming=streaming)).calls[0].usage

    assert usage.input_tokens == 121
    assert (usage.details["cached"], usage.details["cache_written"]) == (100, 20)


@BOTH
async def test_what_is_kept_for_different_times_is_added_up(upstream, streaming):
    times = {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5}
    upstream.script(anthropic.says(cache_creation_input_tokens=20, cache_creation=times))

    usage = (await run(one(upstream), streaming=streaming)).calls[0].usage

    assert (usage.input_tokens, usage.details["cache_written"]) == (21, 20)


async def test_what_was_read_may_be_told_at_the_start_only(upstream):
    upstream.script(anthropic.says(repeats_read=False, cache_read_input_tokens=100))

    usage = (await run(one(upstream))).calls[0].usage

    assert (usage.input_tokens, usage.output_tokens, usage.details["cached"]) == (101, 3, 100)


@BOTH
async def test_thinking_is_kept_apart(upstream, streaming):
    upstream.script(anthropic.says("Yes", thinking="Let me see."))
    thinking = {"type": "enabled", "budget_tokens": 2000}

    ran = await run(plan(step(claude(upstream), extra={"thinking": thinking})), streaming=streaming)

    assert (ran.output, ran.calls[0].reasoning) == ("Yes", "Let me see.")
    assert upstream.requests[0].body["thinking"] == thinking
    assert upstream.requests[0].body["max_tokens"] == 34_000


@BOTH
async def test_a_message_calls_tools(upstream, streaming):
    upstream.script(anthropic.calls("look", word="cat", number=2))

    ran = await run(plan(step(claude(upstream), parser="message")), streaming=streaming)

    (call,) = ran.output.tool_calls
    assert (call["name"], call["args"], ran.finish_reason) == (
        "look",
        {"word": "cat", "number": 2},
        "tool_calls",
    )


# --- What is sent ------------------------------------------------------------------------------


@BOTH
async def test_every_parameter_is_sent(upstream, streaming):
    extra = {"top_p": 0.5, "top_k": 5, "stop": ["END"], "service_tier": "auto", "reasoning_effort": "low"}

    await run(plan(step(claude(upstream), temperature=0, max_tokens=9, extra=extra)), streaming=streaming)

    body = upstream.requests[0].body
    del body["messages"]
    assert body.pop("stream", False) is streaming
    assert body == {
        "model": NEW,
        "max_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 5,
        "stop_sequences": ["END"],
        "service_tier": "auto",
        "output_config": {"effort": "low"},
    }


@pytest.mark.parametrize(("model", "limit"), [(NEW, 32_000), (UNKNOWN, 8192)])
async def test_nothing_is_sent_that_nobody_asked_for_but_the_limit_that_has_to_be(upstream, model, limit):
    await run(one(upstream, model=model))

    body = upstream.requests[0].body
    assert set(body) == {"model", "messages", "max_tokens", "stream"}
    assert body["max_tokens"] == limit


@pytest.mark.parametrize("extra", [{"top_k": "many"}, {"base_url": "http://x"}, {"seed": 7}])
async def test_a_wrong_parameter_is_a_fault_of_the_configuration(upstream, extra):
    with pytest.raises(errors.InvalidSpec):
        await run(plan(step(claude(upstream), extra=extra)))

    assert upstream.requests == []


async def test_messages_are_sent_in_their_roles(upstream):
    asks = prompt({"role": "system", "content": "Be kind."}, {"placeholder": "history"}, "{topic}")
    history = [{"type": "human", "content": "a"}, {"type": "ai", "content": "b"}]

    await run(plan(step(claude(upstream), asks=asks)), {"topic": "x", "history": history})

    body = upstream.requests[0].body
    assert body["system"] == "Be kind."
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "x"),
    ]


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/messages", "/gateway/v1", "/gateway?team=a"])
async def test_an_endpoint_works_as_pasted(upstream, path):
    await run(one(upstream, path=path))

    prefix, query = "/gateway" if "gateway" in path else "", "?team=a" if "?" in path else ""
    assert upstream.requests[0].path == f"{prefix}/v1/messages{query}"


async def test_further_headers_replace_the_usual_ones(upstream):
    await run(one(upstream, headers={"anthropic-beta": "a", "User-Agent": "ours"}))

    headers = upstream.requests[0].headers
    assert (headers["anthropic-beta"], headers["user-agent"]) == ("a", "ours")
    assert KEY in str(headers)


async def test_nothing_of_the_environment_is_sent(upstream, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "LANGSMITH_GATEWAY_API_KEY"):
        monkeypatch.setenv(name, "sk-env-CANARY")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Custom: CANARY")
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL", "LANGSMITH_GATEWAY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    ran = await run(one(upstream, api_key=SecretStr("")))

    assert ran.output == HELLO
    assert "CANARY" not in str(upstream.requests[0].headers)


async def test_a_proxy_is_asked(upstream):
    asked = target(
        kind="anthropic",
        base_url="http://api.example",
        model=NEW,
        proxy=upstream.url,
        headers={"X-Team": "a"},
    )

    ran = await run(plan(step(asked)))

    assert ran.output == HELLO
    assert upstream.requests[0].path == "http://api.example/v1/messages"


# --- JSON --------------------------------------------------------------------------------------


def asks_json(upstream, **data):
    return plan(step(claude(upstream, **data), parser={"kind": "schema", "json_schema": SCHEMA}))


@BOTH
@pytest.mark.parametrize("model", [NEW, UNKNOWN])
async def test_a_model_that_takes_a_schema_gets_it(upstream, model, streaming):
    upstream.script(anthropic.says('{"n": 3}'))

    ran = await run(asks_json(upstream, model=model), streaming=streaming)

    asked = upstream.requests[0].body["output_config"]["format"]
    assert (ran.output, ran.finish_reason) == ({"n": 3}, "stop")
    assert (asked["type"], asked["schema"]["required"]) == ("json_schema", ["n"])
    assert "tools" not in upstream.requests[0].body


@BOTH
@pytest.mark.parametrize("model", [OLD, "glm-5"])
async def test_another_model_answers_by_a_tool(upstream, model, streaming):
    upstream.script(anthropic.says('{"n": 3}'))

    ran = await run(asks_json(upstream, model=model), streaming=streaming)

    body = upstream.requests[0].body
    assert (ran.output, ran.finish_reason, ran.calls[0].raw_finish_reason) == ({"n": 3}, "stop", "tool_use")
    assert body["tool_choice"] == {"type": "tool", "name": "answer"}
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [("answer", SCHEMA)]


async def test_a_model_that_thinks_is_not_forced_to_call_a_tool(upstream):
    upstream.script(anthropic.says('{"n": 3}', thinking="Three."))
    asked = step(
        claude(upstream, model=OLD),
        parser={"kind": "schema", "json_schema": SCHEMA},
        extra={"thinking": {"type": "adaptive"}},
    )

    ran = await run(plan(asked))

    assert ran.output == {"n": 3}
    assert "format" in upstream.requests[0].body["output_config"]


async def test_a_refused_schema_is_asked_for_in_the_prompt(upstream):
    refusal = "output_config.format: this model does not support structured outputs."
    upstream.script(anthropic.refuses(400, "invalid_request_error", refusal), anthropic.says('{"n": 3}'))

    ran = await run(asks_json(upstream, model=UNKNOWN))

    _, second = upstream.requests
    assert ran.output == {"n": 3}
    assert '"minimum": 1' in second.body["system"]
    assert set(second.body) == {"model", "messages", "max_tokens", "stream", "system"}


async def test_a_parameter_that_a_model_refuses_is_left_out(upstream):
    upstream.script(
        anthropic.refuses(400, "invalid_request_error", "`temperature` is deprecated for this model.")
    )

    ran = await run(plan(step(claude(upstream), temperature=0.5)))

    assert ran.output == HELLO
    assert ["temperature" in request.body for request in upstream.requests] == [True, False]


async def test_what_langchain_refuses_to_send_counts_as_refused(upstream):
    ran = await run(plan(step(claude(upstream, model="claude-fable-5"), temperature=0.5)))

    assert (ran.output, len(upstream.requests)) == (HELLO, 1)
    assert "temperature" not in upstream.requests[0].body


# --- Failures ----------------------------------------------------------------------------------

REFUSALS = {
    "401": (anthropic.refuses(401), "provider_auth_failed"),
    "403": (anthropic.refuses(403), "provider_auth_failed"),
    "404": (anthropic.refuses(404), "provider_refused"),
    "400": (anthropic.refuses(400, message="messages: bad"), "provider_refused"),
    "too long": (anthropic.refuses(400), "context_too_long"),
    "too large": (anthropic.refuses(413), "context_too_long"),
    "no credit": (anthropic.refuses(400, message=anthropic.NO_CREDIT), "provider_rate_limited"),
    "a web page": (html(), "provider_garbage"),
    "a web page with 404": (html(404), "provider_refused"),
}


@BOTH
@pytest.mark.parametrize("fault", REFUSALS)
async def test_what_trying_again_does_not_mend_is_not_tried_again(upstream, fault, streaming):
    behaviour, code = REFUSALS[fault]
    upstream.script(behaviour)

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream), streaming=streaming)

    assert (caught.value.code, len(upstream.requests)) == (code, 1)


PASSING = {
    "429": anthropic.refuses(429, retry_after="0"),
    "500": anthropic.refuses(500),
    "529": anthropic.refuses(529),
    "cut": anthropic.cut(0),
    "cut clean": anthropic.cut(0, clean=True),
    "error event": anthropic.error_event(0),
}


@BOTH
@pytest.mark.parametrize("fault", PASSING)
async def test_a_passing_fault_before_the_first_token_is_tried_again(upstream, fault, streaming):
    upstream.script(PASSING[fault])

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.calls[0].attempts, len(upstream.requests)) == (HELLO, 2, 2)


@pytest.mark.parametrize("status", [429, 529])
async def test_retry_after_is_passed_on(upstream, status):
    upstream.script(anthropic.refuses(status, retry_after="3600"))

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream))

    assert (caught.value.retry_after_s, len(upstream.requests)) == (3600, 1)


BROKEN = {
    "cut": (anthropic.cut(3), "provider_cut"),
    "cut clean": (anthropic.cut(3, clean=True), "provider_cut"),
    "overloaded": (anthropic.error_event(3), "provider_failed"),
    "limited": (anthropic.error_event(3, "rate_limit_error", "Slow down"), "provider_rate_limited"),
    "refused": (anthropic.error_event(3, "invalid_request_error", "No"), "provider_refused"),
    "no credit": (anthropic.error_event(3, "billing_error", "Pay"), "provider_rate_limited"),
    "too large": (anthropic.error_event(3, "request_too_large", "Big"), "context_too_long"),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_nothing_is_tried_again_after_the_first_token(upstream, fault):
    behaviour, code = BROKEN[fault]
    upstream.script(behaviour)
    ran = Ran()

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream), into=ran)

    assert (caught.value.code, "".join(ran.chunks)) == (code, "Hello from")
    assert len(upstream.requests) == 1


async def test_an_answer_that_is_whole_is_not_fetched_again(upstream):
    upstream.script(anthropic.hangs_up_after())

    ran = await run(one(upstream))

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == (HELLO, "stop", 1)


@BOTH
async def test_an_answer_without_a_stop_reason_that_is_told_to_be_over_is_whole(upstream, streaming):
    upstream.script(anthropic.says("Hi", stop_reason=None))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == ("Hi", "stop", 1)


@BOTH
async def test_a_redirect_is_not_followed(upstream, spare, streaming):
    for status in (302, 307):
        upstream.script(redirects(to=f"{spare.url}/v1/messages", status=status))
        with pytest.raises(errors.ProviderGarbage, match="redirect"):
            await run(one(upstream), streaming=streaming)

    assert (len(upstream.requests), spare.requests) == (2, [])


@BOTH
async def test_nobody_there_is_unreachable(streaming):
    nobody = target(kind="anthropic", base_url=f"http://127.0.0.1:{free_port()}", model=NEW)

    with pytest.raises(errors.ProviderUnreachable):
        await run(plan(step(nobody), run_timeout_s=1), streaming=streaming)


@BOTH
async def test_a_silent_provider_is_too_slow(upstream, streaming):
    upstream.script(anthropic.held(after_events=0))

    with pytest.raises(errors.ProviderTimeout):
        await run(one(upstream, first_token_s=0.2, answer_s=0.2), streaming=streaming)

    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


async def test_a_run_that_is_left_closes_the_connection(upstream):
    upstream.script(anthropic.held(after_events=3))
    task = asyncio.create_task(run(one(upstream), into=(ran := Ran())))
    await upstream.wait_for_async(lambda: ran.chunks)

    task.cancel()

    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


@BOTH
async def test_a_key_that_is_echoed_gets_nowhere(upstream, caplog, streaming):
    caplog.set_level(logging.DEBUG, logger="chains")
    upstream.script(anthropic.refuses(401, message="Wrong key {key}."))

    with pytest.raises(errors.ProviderAuthFailed) as caught:
        await run(one(upstream), streaming=streaming)

    assert KEY in str(upstream.requests[0].headers)
    assert KEY not in str(caught.value) + repr(caught.value) + caplog.text
