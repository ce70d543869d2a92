"""What a provider answers is never believed."""

import logging

import pytest
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.pricing import Price
from chains.runtime.providers.attempts import MAX_ANSWER_CHARS
from tests.runtime.helpers import BOTH, KEY, run
from tests.runtime.providers.helpers import one
from tests.upstream import (
    HELLO,
    answers,
    body,
    fails,
    garbage,
    redirects,
)
from tests.upstream.completions import completion


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
async def test_reasoning_that_is_too_long_is_refused(upstream, streaming):
    message = {"content": "Hi", "reasoning_content": "x" * MAX_ANSWER_CHARS}
    upstream.script(body(completion(message=message)))

    with pytest.raises(errors.OutputInvalid, match="longer"):
        await run(one(upstream, parser="message"), streaming=streaming)


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
async def test_the_providers_finish_reason_is_kept_as_far_as_it_can_be_stored(
    upstream, reason, kept, streaming
):
    upstream.script(answers(finish_reason=reason))

    ran = await run(one(upstream), streaming=streaming)

    assert ran.calls[0].raw_finish_reason == kept
    assert ran.finish_reason == ("length" if reason == "length" else "stop")


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
