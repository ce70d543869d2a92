"""What providers say of their failures, in the words of different servers, and what a caller is told."""

import asyncio
import base64
import json
import time

import pytest
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.providers.answers import AnswerReader
from chains.runtime.providers.completions import Chat
from chains.runtime.providers.failures import masked
from chains.runtime.providers.tidy import Tidy
from tests.runtime.helpers import BOTH, KEY, Ran, plan, prompt, provider, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import HELLO, body, raw, silent
from tests.upstream.completions import STOP, chunk, completion, events, texts

LIMIT = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
TOO_LONG = {
    "OpenAI": (400, {"error": {"message": LIMIT, "param": "messages", "code": "context_length_exceeded"}}),
    "vLLM": (400, {"error": {"message": LIMIT, "type": "BadRequestError", "param": None, "code": 400}}),
    "an older vLLM": (400, {"object": "error", "message": LIMIT, "type": "BadRequestError", "code": 400}),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "exceeds the available size",
                "type": "exceed_context_size_error",
            }
        },
    ),
    "LM Studio": (400, {"error": "the model is loaded with context length of only 4096 tokens"}),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "too large for model with 32768 maximum context length",
            "code": "3051",
        },
    ),
    "Google": (
        400,
        [{"error": {"code": 400, "message": "The input token count (2000000) exceeds the maximum"}}],
    ),
    "Azure": (400, {"error": {"message": "Invalid: string too long.", "code": "string_above_max_length"}}),
    "Anthropic": (400, {"type": "error", "error": {"message": "prompt is too long: 213462 tokens > 200000"}}),
    "Groq": (413, {"error": {"message": "Request too large for model", "code": "rate_limit_exceeded"}}),
    "Bedrock": (400, {"message": "Input is too long for requested model."}),
    "FastAPI": (422, {"detail": "Input length 5000 exceeds maximum 4096"}),
    "xAI": (
        400,
        {"error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."},
    ),
    "Moonshot": (
        400,
        {"error": {"message": "Invalid request: Your request exceeded model token limit: 8192"}},
    ),
    "DashScope": (400, {"error": {"message": "Range of input length should be [1, 30720]", "code": "x"}}),
    "a newer vLLM": (
        400,
        {
            "error": {
                "message": "The decoder prompt (length 9000) is longer than the maximum model length of 8192."
            }
        },
    ),
    "TGI": (
        422,
        {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"},
    ),
    "Cerebras": (400, {"message": "The number of tokens in the prompt (9001) exceeds the limit"}),
    "Zhipu": (400, {"error": {"code": "1261", "message": "x"}}),
    "an older TGI": (422, {"error": "`inputs` must have less than 1024 tokens. Given: 2000"}),
    "Bedrock's Titan": (400, {"message": "expected maxLength: 50000, actual: 56784, please reformat"}),
    "SiliconFlow": (
        400,
        {"code": 20015, "message": "length of prompt_tokens (33000) must be less than max_seq_len (32768)."},
    ),
    "LiteLLM": (400, {"error": {"message": "litellm.ContextWindowExceededError: x"}}),
    "OpenRouter": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": "This endpoint's maximum context length is 8192 tokens"},
            }
        },
    ),
    "Snowflake": (400, {"message": "max tokens of 8192 exceeded"}),
    "a model's length": (400, {"message": "Total tokens (5000) exceed model max length 4096"}),
    "a web server": (413, b"<html>413 Request Entity Too Large</html>"),
}


@pytest.mark.parametrize("server", TOO_LONG)
@BOTH
async def test_an_input_that_is_too_long_is_told_as_such(upstream, server, streaming):
    status, said = TOO_LONG[server]
    upstream.script(body(said, status))

    with pytest.raises(errors.ContextTooLong):
        await run(one(upstream), streaming=streaming)

    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 9000. This model supports at most 4096 completion tokens.",
        "Rate limit reached for tokens per min (TPM): Limit 10000, Requested 12000.",
        "Invalid role: prompt.",
        "The response was filtered due to the prompt triggering our content management policy.",
    ],
)
async def test_other_refusals_are_not_taken_for_it(upstream, message):
    upstream.script(body({"error": {"message": message}}, 400))

    with pytest.raises(errors.ProviderRefused) as caught:
        await run(one(upstream))

    assert not isinstance(caught.value, errors.ContextTooLong)


def error(**fields) -> dict:
    return {"error": {"message": "x", **fields}}


INSIDE = {
    "429": (error(code=429), errors.ProviderRateLimited, 2),
    "rate limit": (error(type="rate_limit_error"), errors.ProviderRateLimited, 2),
    "no credit": (error(code="insufficient_quota"), errors.ProviderRateLimited, 1),
    "no balance": (error(code=402, message="Insufficient Balance"), errors.ProviderRateLimited, 1),
    "too long": (error(code="context_length_exceeded"), errors.ContextTooLong, 1),
    "401": (error(code=401), errors.ProviderAuthFailed, 1),
    "wrong key": (error(code="invalid_api_key"), errors.ProviderAuthFailed, 1),
    "400": (error(code=400, type="invalid_request_error"), errors.ProviderRefused, 1),
    "500": (error(code=500), errors.ProviderFailed, 2),
    "words": ({"error": "runner process has terminated"}, errors.ProviderFailed, 2),
    "flat": (
        {"object": "error", "message": "x", "type": "InternalServerError", "code": 500},
        errors.ProviderFailed,
        2,
    ),
    "in a list": ([error(code=503)], errors.ProviderFailed, 2),
    "MiniMax, wrong key": (
        {"base_resp": {"status_code": 1004, "status_msg": "x"}, "choices": None},
        errors.ProviderAuthFailed,
        1,
    ),
    "MiniMax, too fast": ({"base_resp": {"status_code": 1002}}, errors.ProviderRateLimited, 2),
    "MiniMax, odd": ({"base_resp": {"status_code": [1]}}, errors.ProviderFailed, 2),
    "Alibaba": ({"code": "Throttling.RateQuota", "message": "x"}, errors.ProviderRateLimited, 2),
    "AWS": ({"__type": "com.amazon#ThrottlingException", "message": "x"}, errors.ProviderRateLimited, 2),
    "Zhipu": (error(code="1302"), errors.ProviderRateLimited, 2),
    "Baidu": ({"error_code": 110, "error_msg": "Access token invalid"}, errors.ProviderAuthFailed, 1),
    "a status": ({"message": "x", "status": 401}, errors.ProviderAuthFailed, 1),
    "a detail": ({"detail": "Invalid API key"}, errors.ProviderAuthFailed, 1),
    "Cloudflare": (
        {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]},
        errors.ProviderAuthFailed,
        1,
    ),
    "a choice": ({"choices": [{"delta": {}, "error": {"code": 429}}]}, errors.ProviderRateLimited, 2),
    "a choice that ended": (
        completion("", "error")
        | {"choices": [{"message": {}, "error": {"code": 401}, "finish_reason": "error"}]},
        errors.ProviderAuthFailed,
        1,
    ),
    "Groq": ({"choices": [{"delta": {}}], "x_groq": {"error": "over capacity"}}, errors.ProviderFailed, 2),
    "Tencent": (
        {"Response": {"Error": {"Code": "RequestLimitExceeded", "Message": "x"}}},
        errors.ProviderFailed,
        2,
    ),
    "code 200": ({"error": {"code": 200, "message": "upstream unavailable"}}, errors.ProviderFailed, 2),
}


@pytest.mark.parametrize("fault", INSIDE)
@pytest.mark.parametrize("form", ["event", "body"])
@BOTH
async def test_an_error_with_status_200_counts_as_if_it_were_the_status(upstream, fault, form, streaming):
    said, error_class, requests = INSIDE[fault]
    upstream.script(*[raw(events(said)) if form == "event" and isinstance(said, dict) else body(said)] * 3)

    with pytest.raises(error_class):
        await run(one(upstream), streaming=streaming)

    assert len(upstream.requests) == (3 if requests > 1 else 1)


@pytest.mark.parametrize(
    "last",
    [
        events({**chunk({"content": ""}, "error"), "error": {"code": "server_error", "message": "x"}}),
        events({"object": "error", "message": "boom", "type": "InternalServerError", "code": 500}),
        b'event: error\ndata: {"code": "InternalError", "message": "x"}\n\n',
        b"event: error\ndata: out of memory\n\n",
        events({"error": "runner process has terminated"}),
        events({"choices": [{"delta": {}}], "x_groq": {"error": "over capacity"}}),
        events({"message": "x", "code": "internal"}, done=False),
        events(b"data: Internal Server Error\n\n"),
    ],
)
async def test_an_error_after_the_first_token_ends_the_answer(upstream, last):
    upstream.script(raw(events(*texts("Hal"), done=False) + last))
    ran = Ran()

    with pytest.raises(errors.ProviderFailed):
        await run(one(upstream), into=ran)

    assert (ran.chunks, len(upstream.requests)) == (["Hal"], 1)


async def test_an_error_beside_the_finish_reason_counts(upstream):
    upstream.script(raw(events(*texts("Hal"), {**STOP, "error": {"code": 500, "message": "x"}})))

    with pytest.raises(errors.ProviderFailed):
        await run(one(upstream))


@pytest.mark.parametrize(
    "message", ["Invalid API key provided", "API key not valid. Please pass a valid one."]
)
async def test_a_wrong_key_is_told_as_such_whatever_the_status(upstream, message):
    upstream.script(body({"error": {"message": message}}, 400))

    with pytest.raises(errors.ProviderAuthFailed):
        await run(one(upstream))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"<html>Sign in</html>", "<html>Sign in</html>"),
        (b'{"outputs": ["Hello"]}', '{"outputs": ["Hello"]}'),
        (b"Hello", "Hello"),
        (b"[1, 2]", "[1, 2]"),
    ],
)
@BOTH
async def test_what_is_no_answer_is_shown_to_staff_and_not_paid_for_again(upstream, said, told, streaming):
    upstream.script(body(said))

    with pytest.raises(errors.ProviderGarbage) as caught:
        await run(one(upstream), streaming=streaming)

    assert (caught.value.told.message, len(upstream.requests)) == (told, 1)


@pytest.mark.parametrize("cut", [10, 60])
@BOTH
async def test_the_text_of_a_body_that_is_cut_is_kept(upstream, cut, streaming):
    whole = json.dumps(completion('Say "é\n" \U0001f600 now')).encode()
    part = whole[: whole.index(b"now") + 2 - cut % 7] if cut == 60 else whole[:-cut]
    upstream.script(*[body(part)] * 3)
    ran = Ran()

    with pytest.raises(errors.ProviderCut):
        await run(one(upstream), streaming=streaming, into=ran)

    assert ran.said[0].startswith('Say "é\n" ')
    assert ran.calls[0].may_cost_more


BROKEN_OFF = ["error", "abort", "insufficient_system_resource", "network_error", "kTIMED_OUT", "exception"]


@pytest.mark.parametrize(
    "reason", [*BROKEN_OFF, "preempted", "worker_died", {"type": "abort", "message": "x"}]
)
async def test_a_finish_reason_that_means_broken_off_is_a_failure(upstream, reason):
    upstream.script(raw(events(*texts("Hal"), chunk({}, reason))))

    with pytest.raises(errors.ProviderFailed):
        await run(one(upstream))


@pytest.mark.parametrize("reason", ["error", "abort"])
async def test_a_whole_answer_that_is_broken_off_before_its_text_is_tried_again(upstream, reason):
    upstream.script(body(completion("", reason)))

    assert (await run(one(upstream), streaming=False)).output == HELLO


@pytest.mark.parametrize(
    "said",
    [completion("Hal", "abort"), {**completion("Hal", None), "error": {"code": 500, "message": "x"}}],
)
@BOTH
async def test_half_an_answer_is_kept_and_not_paid_for_again(upstream, said, streaming):
    upstream.script(body(said))
    ran = Ran()

    with pytest.raises(errors.ProviderFailed):
        await run(one(upstream), streaming=streaming, into=ran)

    assert ("".join(ran.said), len(upstream.requests)) == ("Hal", 1)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("FinishReason.MAX_TOKENS", "length"),
        ("max-output-tokens", "length"),
        ("content_filter: hate", "content_filter"),
        ("function_call_filter: f", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("incomplete", "length"),
        ("stop_token", "stop"),
        ("ERROR_TOXIC", "content_filter"),
        ("something new", "stop"),
    ],
)
@BOTH
async def test_finish_reasons_are_told_in_openais_words(upstream, word, meaning, streaming):
    upstream.script(body(completion("Hi", word)))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.finish_reason, ran.calls[0].raw_finish_reason) == (meaning, word)


# --- What is kept for staff --------------------------------------------------------------------


async def test_every_try_is_kept_with_what_the_provider_said(upstream):
    said = {"message": "Model 'm' is loading", "type": "unavailable", "param": "model", "code": "loading"}
    upstream.script(body({"error": said}, 503), raw(events(*texts("Hel", "lo"), STOP)))

    ran = await run(one(upstream))

    first, second = ran.calls[0].tries
    assert (first.outcome, first.code, first.first_ms) == ("failed", "provider_failed", None)
    assert first.told == errors.Told(
        status=503, code="loading", type="unavailable", param="model", message="Model 'm' is loading"
    )
    assert (second.outcome, second.told) == ("answered", None)
    assert first.started_ms + first.ms <= second.started_ms
    assert second.first_ms <= second.ms


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("Wrong key {key}.", "Wrong key …."),
        ("Wrong key sk-abcd********wxyz", "Wrong key …"),
        ("Wrong Bearer abcdef0123456789", "Wrong …"),
        ("token 0123456789abcdef0123456789abcdef", "token …"),
        ("x " * 1000, "x " * 249 + "x…"),
        ("two\n  lines", "two lines"),
    ],
)
async def test_what_is_kept_is_short_and_has_no_key(upstream, message, kept):
    upstream.script(body({"error": {"message": message.replace("{key}", KEY)}}, 400))
    ran = Ran()

    with pytest.raises(errors.ProviderRefused) as caught:
        await run(one(upstream), into=ran)

    assert ran.calls[0].tries[0].told.message == kept
    assert KEY not in str(caught.value)


SECRETS = {
    "the cookie": ({"Cookie": "a=1; session=crumb-4711-abc"}, "", "crumb-4711-abc"),
    "the login": ({"X-Auth": "Basic dXNlcjpwYXNzd29yZC0x"}, "", "password-1"),
    "a value in base64": ({"X-Key": "my-own-secret"}, "", "bXktb3duLXNlY3JldA=="),
    "the key in base64": ({}, "", base64.b64encode(KEY.encode()).decode()),
    "the proxy's login": ({}, "http://me:pass%20word@127.0.0.1:9", "bWU6cGFzcyB3b3Jk"),
}


@pytest.mark.parametrize("which", SECRETS)
def test_parts_of_credentials_are_kept_from_everyone_too(which):
    headers, proxy, said = SECRETS[which]
    known = provider(headers=headers, proxy=proxy, api_key=SecretStr(KEY))

    assert masked(errors.Told(message=f"not {said}!"), *known.secrets).message == "not …!"


async def test_credentials_in_the_words_of_an_answer_are_hidden(upstream):
    upstream.script(body(completion("Hi", f"stop: {KEY}", model=f"m {KEY}")))

    ran = await run(one(upstream, parser="message"), streaming=False)

    assert ran.calls[0].raw_finish_reason == "stop: …"
    assert ran.output.response_metadata["model_name"] == "m …"


@BOTH
async def test_what_a_failed_answer_was_counted_at_is_kept(upstream, streaming):
    upstream.script(body(completion("Hal", "error")))
    ran = Ran()

    with pytest.raises(errors.ProviderFailed):
        await run(one(upstream), streaming=streaming, into=ran)

    assert (ran.calls[0].usage.input_tokens, ran.calls[0].usage.output_tokens) == (1, 2)


CUT = json.dumps(completion("Hello world")).encode()
CUT = CUT[: CUT.index(b"world") + 3]


@pytest.mark.parametrize(("ending", "code"), [("cut", "provider_cut"), ("held", "provider_timeout")])
@BOTH
async def test_the_text_of_a_body_that_breaks_off_is_kept(upstream, ending, code, streaming):
    upstream.script(*[body(CUT, framing="chunked", ending=ending)] * 3)
    ran = Ran()

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream, first_token_s=0.3, answer_s=0.3), streaming=streaming, into=ran)

    assert (caught.value.code, ran.said) == (code, ["Hello wor"])
    assert ran.calls[0].may_cost_more


@pytest.mark.parametrize("kind", [{}, {"kind": "anthropic", "model": "claude-9"}])
@BOTH
async def test_what_no_request_can_carry_is_refused(upstream, kind, streaming):
    """LangChain's integrations raise errors of their own for such blocks."""
    asks = prompt({"placeholder": "messages"})
    message = {"type": "human", "content": [{"type": "image", "base64": "aa"}]}

    with pytest.raises(errors.ProviderRefused):
        await run(
            plan(step(target(upstream, **kind), asks=asks)), {"messages": [message]}, streaming=streaming
        )

    assert upstream.requests == []


@pytest.mark.alone
def test_the_text_of_a_long_body_is_found_fast():
    reader = AnswerReader(Chat(Tidy(splits_thinking=False)))
    reader.add(b'{"choices": [{"message": {"content": "' + b'x\\"' * 2_000_000)
    began = time.process_time()

    reader.finish()

    assert isinstance(reader.fault, errors.ProviderCut)
    assert time.process_time() - began < 0.5


async def test_a_stream_that_breaks_off_may_cost_more_than_is_known(upstream):
    upstream.script(raw(events(*texts("Hal"), done=False), ending="cut"))
    ran = Ran()

    with pytest.raises(errors.ProviderCut):
        await run(one(upstream), into=ran)

    assert ran.calls[0].may_cost_more
    assert ran.calls[0].tries[0].first_ms is not None


async def test_a_call_that_finds_no_place_is_told_too(upstream):
    upstream.script(silent())
    full = one(upstream, slug="full", max_concurrency=1)
    holding = asyncio.create_task(run(full))
    assert await upstream.wait_for_async(lambda: upstream.active == 1)
    ran = Ran()

    waiting = asyncio.create_task(run(full, into=ran))
    assert await upstream.wait_for_async(lambda: bool(ran.steps))
    waiting.cancel()
    holding.cancel()
    await asyncio.wait([waiting, holding])

    (call,) = ran.calls
    assert (call.was_answered, [each.outcome for each in call.tries]) == (False, ["cancelled"])
