"""Providers that refuse a part of a request, as real ones do, and what their refusals teach."""

import pytest

from chains.runtime import errors
from chains.runtime.context import Taught
from chains.runtime.providers.habits import habits_of
from tests.runtime.helpers import BOTH, Ran, plan, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import HELLO, Behaviour, answers, body, depends, fails
from tests.upstream.completions import completion

STOPS = {"extra": {"stop": ["x"]}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def refusal(message: str, **fields) -> Behaviour:
    return body({"error": {"message": message, "type": "invalid_request_error", **fields}}, 400)


def refuses(parameter: str, said: Behaviour, otherwise: Behaviour | None = None) -> Behaviour:
    """A provider that refuses each request with this parameter."""
    return depends(lambda sent: said if parameter in sent else otherwise or answers("Hello"))


EXTRA_FORBIDDEN = {
    "object": "error",
    "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"]}]},
    "type": "invalid_request_error",
}
NOT_MAX_TOKENS = refusal(
    "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
    param="max_tokens",
    code="unsupported_parameter",
)
NOT_THE_NEWER_NAME = refusal("max_completion_tokens: Extra inputs are not permitted", code="invalid")
NOT_TEMPERATURE = refusal(
    "Unsupported value: 'temperature' does not support 0.2 with this model.", param="temperature"
)
NOT_VERIFIED = refusal("Your organization must be verified to stream this model.", param="stream")
ONLY_STREAMS = refusal("parameter.enable_thinking must be set to false for non-streaming calls")
NO_JSON_SCHEMA = refusal("This response_format type is unavailable now")
ONLY_RESPONSES = refusal("This model is only supported in v1/responses and not in v1/chat/completions.")


def schema_mode(sent: dict) -> str:
    if "tools" in sent:
        return "tool"
    return (sent.get("response_format") or {}).get("type", "")


def by_schema_mode(*known: str) -> Behaviour:
    """A provider that knows only these ways to ask for a JSON Schema."""
    call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": '{"a": 1}'}}
    by_tool = completion(message={"role": "assistant", "content": None, "tool_calls": [call]})

    def choose(sent: dict) -> Behaviour:
        mode = schema_mode(sent)
        if mode not in known:
            return NO_JSON_SCHEMA
        return body(by_tool) if mode == "tool" else answers('{"a": 1}')

    return depends(choose)


def learned(ran: Ran) -> list[tuple[str, str | None]]:
    return [(taught.habit, taught.value) for taught in ran.lessons]


async def ask(upstream, behaviour: Behaviour, *, streaming: bool, taught=(), times: int = 4, **params) -> Ran:
    upstream.script(*[behaviour] * times)
    parser = {"kind": "schema", "json_schema": SCHEMA} if params.pop("schema", False) else "text"
    known = target(upstream, habits=params.pop("habits", {}), learned=dict(taught))
    return await run(plan(step(known, parser=parser, **params)), streaming=streaming)


async def test_usage_that_may_not_be_asked_for_is_left_out(upstream):
    ran = await ask(upstream, refuses("stream_options", body(EXTRA_FORBIDDEN, 422)), streaming=True)

    assert (ran.output, len(upstream.requests)) == ("Hello", 2)
    assert learned(ran) == [("usage_in_streams", "never")]


@BOTH
async def test_the_token_limit_finds_its_name(upstream, streaming):
    ran = await ask(upstream, refuses("max_tokens", NOT_MAX_TOKENS), streaming=streaming, max_tokens=9)

    assert upstream.requests[1].body["max_completion_tokens"] == 9
    assert learned(ran) == [("token_limit", "max_completion_tokens")]


@BOTH
async def test_several_parameters_are_left_out_one_by_one(upstream, streaming):
    strict = refuses("max_tokens", NOT_MAX_TOKENS, refuses("temperature", NOT_TEMPERATURE))

    ran = await ask(upstream, strict, streaming=streaming, max_tokens=9, temperature=0.2)

    assert (ran.output, len(upstream.requests)) == ("Hello", 3)
    assert learned(ran) == [("token_limit", "max_completion_tokens"), ("temperature", "left out")]


async def test_a_provider_that_refuses_to_stream_answers_in_one_piece(upstream):
    ran = await ask(upstream, refuses("stream", NOT_VERIFIED), streaming=True)

    assert (ran.chunks, len(upstream.requests)) == (["Hello"], 2)
    assert learned(ran) == [("streaming", "never")]


@pytest.mark.parametrize(
    "said",
    [
        refusal("Streaming is not supported for this model."),
        refusal("This model does not support streaming."),
        refusal("stream must be set to false"),
    ],
)
async def test_it_may_say_so_in_other_words(upstream, said):
    ran = await ask(upstream, refuses("stream", said), streaming=True)

    assert (ran.output, learned(ran)) == ("Hello", [("streaming", "never")])


@pytest.mark.parametrize(
    "message",
    ["The upstream stream broke.", "Error in streaming response: the model is not available right now."],
)
async def test_a_refusal_that_merely_mentions_a_stream_teaches_nothing(upstream, message):
    with pytest.raises(errors.ProviderRefused):
        await ask(upstream, refusal(message), streaming=True)

    assert len(upstream.requests) == 1


async def test_a_provider_that_only_streams_gives_whole_answers_too(upstream):
    only = depends(lambda sent: answers("Hello you") if sent.get("stream") else ONLY_STREAMS)

    ran = await ask(upstream, only, streaming=False)

    assert (ran.output, len(upstream.requests)) == ("Hello you", 2)
    assert learned(ran) == [("streaming", "only")]


@pytest.mark.parametrize(
    ("known", "tried", "taught"),
    [
        (("json_schema",), ["json_schema"], []),
        (("json_object",), ["json_schema", "json_object"], ["json_object"]),
        (("tool",), ["json_schema", "json_object", "tool"], ["json_object", "tool"]),
    ],
)
@BOTH
async def test_a_json_schema_is_asked_for_in_the_way_that_the_provider_knows(
    upstream, known, tried, taught, streaming
):
    ran = await ask(upstream, by_schema_mode(*known), streaming=streaming, schema=True)

    assert ran.output == {"a": 1}
    assert [schema_mode(request.body) for request in upstream.requests] == tried
    assert learned(ran) == [("json_schema", mode) for mode in taught]


async def test_a_schema_in_the_prompt_stands_in_the_system_message(upstream):
    await ask(
        upstream, answers('{"a": 1}'), streaming=False, schema=True, habits={"json_schema": "json_object"}
    )

    first, second = upstream.requests[0].body["messages"]
    assert (first["role"], second["content"]) == ("system", "cats")
    assert '"required": ["a"]' in first["content"]


async def test_a_model_that_is_served_by_responses_only_is_found(upstream):
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}]
    said = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": output}
    responses = {**said, "created_at": 1, "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}
    upstream.script(ONLY_RESPONSES, body(responses))

    ran = await run(one(upstream), streaming=False)

    assert [request.path for request in upstream.requests] == ["/v1/chat/completions", "/v1/responses"]
    assert (ran.output, ran.calls[0].usage.output_tokens, ran.finish_reason) == ("Hello", 2, "stop")
    assert learned(ran) == [("api", "responses")]


# --- What was learned --------------------------------------------------------------------------


async def test_what_is_learned_is_obeyed_from_the_first_request_on(upstream):
    known = {"usage_in_streams": "never", "token_limit": "max_completion_tokens", "temperature": "left out"}

    ran = await ask(upstream, answers(), streaming=True, taught=known, max_tokens=9, temperature=0.5)

    assert set(upstream.requests[0].body) == {"model", "messages", "stream", "max_completion_tokens"}
    assert ran.lessons == []


async def test_a_lesson_names_the_model_and_the_refusal(upstream):
    ran = await ask(upstream, refuses("stream", NOT_VERIFIED), streaming=True)

    assert ran.lessons == [
        Taught(
            provider="main",
            model="test-model",
            habit="streaming",
            value="never",
            refusal="Your organization must be verified to stream this model.",
        )
    ]


async def test_what_was_learned_and_is_refused_now_is_learned_anew(upstream):
    strict = refuses("max_completion_tokens", NOT_THE_NEWER_NAME)

    ran = await ask(
        upstream, strict, streaming=True, taught={"token_limit": "max_completion_tokens"}, max_tokens=9
    )

    assert (ran.output, learned(ran)) == ("Hello", [("token_limit", "max_tokens")])


async def test_the_last_try_doubts_what_was_learned(upstream):
    changed = depends(lambda sent: fails(500) if sent.get("stream") else answers("Hello"))

    ran = await ask(upstream, changed, streaming=False, taught={"streaming": "only"})

    assert (ran.output, len(upstream.requests)) == ("Hello", 3)
    assert learned(ran) == [("streaming", None)]


async def test_what_a_request_does_not_use_is_not_doubted(upstream):
    known = {"json_schema": "tool", "temperature": "left out", "token_limit": "max_completion_tokens"}
    upstream.script(fails(500), fails(500), answers("Hello"))

    ran = await run(plan(step(target(upstream, learned=known))))

    assert (ran.output, learned(ran)) == ("Hello", [])


async def test_a_lesson_of_this_call_may_be_doubted_and_is_not_kept_then(upstream):
    upstream.script(NOT_TEMPERATURE, fails(500), fails(500), answers("Hello"))

    ran = await run(plan(step(target(upstream), temperature=0.5)))

    assert ["temperature" in request.body for request in upstream.requests] == [True, False, False, True]
    assert (ran.output, learned(ran)) == ("Hello", [("temperature", None)])


async def test_a_doubted_lesson_is_learned_again(upstream):
    upstream.script(NOT_TEMPERATURE, fails(500), fails(500), NOT_TEMPERATURE, answers("Hello"))

    ran = await run(plan(step(target(upstream), temperature=0.5)))

    assert (ran.output, len(upstream.requests)) == ("Hello", 5)
    assert learned(ran)[-1] == ("temperature", "left out")


async def test_a_value_of_another_version_is_as_if_it_were_automatic(upstream):
    ran = await run(plan(step(target(upstream, habits={"streaming": "sometimes", "api": "x"}))))

    assert ran.output == HELLO


async def test_an_address_that_was_learned_and_is_gone_is_learned_anew(upstream):
    chats = depends(lambda sent: fails(404) if "input" in sent else answers("Hello"))

    ran = await ask(upstream, chats, streaming=True, taught={"api": "responses"})

    assert (ran.output, learned(ran)) == ("Hello", [("api", "chat_completions")])


async def test_the_address_is_not_doubted(upstream):
    busy = depends(lambda sent: fails(500) if "input" in sent else fails(404))
    ran = Ran()
    upstream.script(*[busy] * 4)

    with pytest.raises(errors.ProviderFailed):
        await run(plan(step(target(upstream, learned={"api": "responses"}))), into=ran)

    assert [request.path for request in upstream.requests] == ["/v1/responses"] * 3


async def test_nothing_is_learned_where_no_answer_comes(upstream):
    ran = Ran()
    upstream.script(NOT_VERIFIED, refusal("Unknown role."))

    with pytest.raises(errors.ProviderRefused):
        await run(one(upstream), into=ran)

    assert (len(upstream.requests), ran.lessons) == (2, [])
    assert [each.outcome for each in ran.calls[0].tries] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("said", "params", "habits"),
    [
        (NOT_MAX_TOKENS, {}, {}),
        (NOT_MAX_TOKENS, {"max_tokens": 9}, {"token_limit": "max_tokens"}),
        (NOT_TEMPERATURE, {}, {}),
        (NOT_TEMPERATURE, {"temperature": 0.2}, {"sampling": "send"}),
        (refusal("Unknown role."), {"max_tokens": 9, "temperature": 0.2}, {}),
        (refusal("temperature: range: 0..1", param="temperature"), {"temperature": 1.5}, {}),
        (refusal("'temperature' must be less than or equal to 1"), {"temperature": 1.5}, {}),
        (
            refusal("max_tokens (or max_completion_tokens) is too large: at most 4096 are possible"),
            {"max_tokens": 9000},
            {},
        ),
        (refusal("Invalid schema for response_format 'answer': 'x' is no type."), {"schema": True}, {}),
        (NO_JSON_SCHEMA, {}, {}),
        (refusal("Flagged by moderation: stop, temperature"), {"temperature": 1.5}, {}),
        (refusal("The request was blocked; stop and try again later, not allowed."), STOPS, {}),
        (refusal("the prompt 'temperature in Rome' is not allowed"), {"temperature": 0.5}, {}),
        (refusal("The parameter 'temperature' is not supported", param="messages"), {"temperature": 0.5}, {}),
        (NOT_VERIFIED, {}, {"streaming": "yes"}),
    ],
)
async def test_a_refusal_that_teaches_nothing_is_final(upstream, said, params, habits):
    with pytest.raises(errors.ProviderRefused):
        await ask(upstream, said, streaming=True, habits=habits, **params)

    assert len(upstream.requests) == 1


async def test_a_provider_that_refuses_everything_is_not_asked_for_ever(upstream):
    said = refusal("stream_options, max_tokens, max_completion_tokens, temperature, stream: unsupported")

    with pytest.raises(errors.ProviderRefused):
        await ask(upstream, said, streaming=True, times=20, max_tokens=9, temperature=0.2)

    assert len(upstream.requests) <= 7


# --- Settings ----------------------------------------------------------------------------------

SET = [
    ({"usage_in_streams": "never"}, {}, lambda body: "stream_options" not in body),
    ({"streaming": "never"}, {}, lambda body: "stream" not in body),
    ({"token_limit": "max_completion_tokens"}, {"max_tokens": 9}, lambda body: "max_tokens" not in body),
]


@pytest.mark.parametrize(("habits", "params", "holds"), SET)
async def test_a_setting_counts_without_any_refusal(upstream, habits, params, holds):
    await ask(upstream, answers(), streaming=True, habits=habits, **params)

    assert holds(upstream.requests[0].body)


@pytest.mark.parametrize(
    ("model", "sent"), [("o3-mini", False), ("gpt-5", False), ("openai/o1", False), ("gpt-4o", True)]
)
async def test_sampling_may_be_left_out_for_reasoning_models(upstream, model, sent):
    known = target(upstream, model=model, habits={"sampling": "leave_out"})

    await run(plan(step(known, temperature=0.2)), streaming=False)

    assert ("temperature" in upstream.requests[0].body) == sent


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "max_completion_tokens"),
        ("res.openai.azure.com", "max_completion_tokens"),
        ("res.cognitiveservices.azure.com", "max_completion_tokens"),
        ("res.services.ai.azure.com", "max_completion_tokens"),
        ("res.openai.azure.us", "max_completion_tokens"),
        ("notopenai.com", "max_tokens"),
        ("127.0.0.1", "max_tokens"),
    ],
)
def test_the_usual_name_of_the_token_limit_is_the_hosts(host, name):
    assert habits_of({}, {}, base_url=f"https://{host}/v1", model="m").token_limit == name


# --- Reaching ----------------------------------------------------------------------------------


async def test_further_headers_are_sent_and_replace_ours(upstream):
    headers = {"X-Team": "a", "Authorization": "Basic eA=="}

    await run(one(upstream, headers=headers))

    sent = upstream.requests[0].headers
    assert (sent["x-team"], sent["authorization"]) == ("a", "Basic eA==")


async def test_requests_go_through_the_proxy(upstream):
    proxy = upstream.base_url.removesuffix("/v1").replace("http://", "http://user:pw@")
    known = target(kind="openai", base_url="http://models.internal/v1?api-version=1", model="m", proxy=proxy)

    await run(plan(step(known)))

    sent = upstream.requests[0]
    assert sent.path.endswith("models.internal/v1/chat/completions?api-version=1")
    assert sent.headers["proxy-authorization"].startswith("Basic ")


async def test_a_query_of_the_endpoint_stays_at_the_end(upstream):
    known = target(upstream, base_url=f"{upstream.base_url}/deployments/x?api-version=2024-10-21")

    await run(plan(step(known)))

    assert upstream.requests[0].path == "/v1/deployments/x/chat/completions?api-version=2024-10-21"
