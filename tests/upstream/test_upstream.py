"""The scripted provider, seen through the real langchain-openai, openai and langchain-anthropic clients.

These tests also write down how those clients take each fault, which the runtime builds on.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import langchain_openai.chat_models.base as lc_openai
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models._client_utils import StreamChunkTimeoutError

from tests.upstream import (
    Behaviour,
    Upstream,
    answers,
    cut,
    error_event,
    fails,
    garbage,
    held,
    html,
    rate_limited,
    redirects,
    silent,
    slow,
)
from tests.upstream import anthropic as messages

KEY = "sk-test-0123456789abcdef"


# One loop and one server for all: langchain-openai shares one HTTP client per base URL in the
# process, its kept connections cannot be used from another loop, and a new one costs 0.1 s.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    server.reset()
    return server


def model(upstream: Upstream, **options: Any) -> ChatOpenAI:
    settings = {"model": "test-model", "api_key": KEY, "max_retries": 0, "timeout": 5}
    return ChatOpenAI(base_url=upstream.base_url, **(settings | options))


async def collect(upstream: Upstream, pieces: list[str], **options: Any) -> AIMessageChunk:
    """Stream an answer, keep its pieces even if it breaks off, and return them added up."""
    whole: AIMessageChunk | None = None
    async for chunk in model(upstream, **options).astream("two words"):
        if chunk.content:
            pieces.append(chunk.content)
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return whole


# Whole answers


async def test_a_plain_answer_has_text_usage_and_finish_reason(upstream: Upstream) -> None:
    answer = await model(upstream).ainvoke("two words")

    assert answer.content == "Hello from upstream"
    assert answer.usage_metadata["input_tokens"] == 2
    assert answer.usage_metadata["output_tokens"] == 3
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_a_streamed_answer_comes_in_words_with_usage_and_finish_reason(
    upstream: Upstream,
) -> None:
    pieces: list[str] = []
    answer = await collect(upstream, pieces, stream_usage=True)

    assert pieces == ["Hello", " from", " upstream"]
    assert answer.usage_metadata["total_tokens"] == 5
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_sync_clients_in_other_threads_are_served_too(upstream: Upstream) -> None:
    client = model(upstream)
    answer = await asyncio.to_thread(client.invoke, "Hi")
    assert answer.content == "Hello from upstream"
    chunks = await asyncio.to_thread(lambda: list(client.stream("Hi")))
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hello", " from", " upstream"]


async def test_usage_is_streamed_only_where_it_was_asked_for(upstream: Upstream) -> None:
    assert (await collect(upstream, [], stream_usage=False)).usage_metadata is None
    upstream.script(answers(usage=False))
    assert (await collect(upstream, [], stream_usage=True)).usage_metadata is None


async def test_text_keeps_its_spaces_and_can_echo_the_prompt(upstream: Upstream) -> None:
    upstream.script(answers(text=" a\n\n b  c \n"))
    assert (await collect(upstream, [])).content == " a\n\n b  c \n"
    upstream.script(answers(text=lambda body: body["messages"][-1]["content"].upper()))
    assert (await collect(upstream, [])).content == "TWO WORDS"


async def test_requests_are_kept_as_they_came_in(upstream: Upstream) -> None:
    await model(upstream, temperature=0.5).ainvoke("two words")

    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.key == KEY
    assert request.headers["content-type"] == "application/json"
    assert request.body["messages"] == [{"role": "user", "content": "two words"}]
    assert request.body["temperature"] == 0.5
    assert request.stream is False


async def test_scripted_behaviours_are_used_up_in_order_and_reset_forgets_them(
    upstream: Upstream,
) -> None:
    client = model(upstream)
    upstream.script(answers("first"), answers("second"))
    told = [(await client.ainvoke("Hi")).content for _ in range(3)]
    assert told == ["first", "second", "Hello from upstream"]

    upstream.script(fails(500))
    upstream.reset()
    assert upstream.requests == []
    assert (await client.ainvoke("Hi")).content == "Hello from upstream"


async def connect(upstream: Upstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(upstream.base_url)
    return await asyncio.open_connection(address.hostname, address.port)


def raw_request(stream: bool) -> bytes:
    body = json.dumps({"model": "test-model", "messages": [], "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_one_connection_carries_several_answers(upstream: Upstream) -> None:
    reader, writer = await connect(upstream)
    for stream in (True, False, True):
        writer.write(raw_request(stream))
        head = await reader.readuntil(b"\r\n\r\n")
        if stream:
            assert b"transfer-encoding: chunked" in head
            assert (await reader.readuntil(b"\r\n0\r\n\r\n")).endswith(b"[DONE]\n\n\r\n0\r\n\r\n")
        else:
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            assert b'"chat.completion"' in await reader.readexactly(length)
    writer.close()
    assert len(upstream.requests) == 3
    assert upstream.disconnects == 0


async def test_two_hundred_answers_run_at_once_and_every_leaving_is_counted(
    upstream: Upstream,
) -> None:
    upstream.script(*[silent()] * 200)
    connections = await asyncio.gather(*[connect(upstream) for _ in range(200)])
    for _, writer in connections:
        writer.write(raw_request(stream=True))
    assert await upstream.wait_for_async(lambda: upstream.active == 200)

    for _, writer in connections:
        writer.close()
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 200)
    assert await upstream.wait_for_async(lambda: upstream.active == 0)


# Refusals


@pytest.mark.parametrize(
    ("behaviour", "expected", "status", "code"),
    [
        (rate_limited(), lc_openai.OpenAIRateLimitError, 429, "rate_limit_exceeded"),
        (
            rate_limited(None, "insufficient_quota"),
            lc_openai.OpenAIRateLimitError,
            429,
            "insufficient_quota",
        ),
        (fails(500), lc_openai.OpenAIAPIError, 500, None),
        # The overflow has a class of its own, but openai 3 no longer prints the code by which
        # langchain-openai would know it: only `code` tells.
        (fails(400), lc_openai.OpenAIInvalidRequestError, 400, "context_length_exceeded"),
        (fails(401), lc_openai.OpenAIAuthenticationError, 401, "invalid_api_key"),
        (fails(404), lc_openai.OpenAIModelNotFoundError, 404, "model_not_found"),
        (fails(418, "No coffee", "teapot"), openai.APIStatusError, 418, "teapot"),
    ],
)
async def test_a_refusal_becomes_its_exception_with_status_and_code(
    upstream: Upstream,
    behaviour: Behaviour,
    expected: type[openai.APIStatusError],
    status: int,
    code: str | None,
) -> None:
    upstream.script(behaviour)
    with pytest.raises(expected) as caught:
        await model(upstream).ainvoke("Hi")
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert len(upstream.requests) == 1


async def test_a_rate_limit_says_when_to_try_again(upstream: Upstream) -> None:
    upstream.script(rate_limited(retry_after="7"), rate_limited(retry_after=None))
    for expected in ("7", None):
        with pytest.raises(openai.RateLimitError) as caught:
            await model(upstream).ainvoke("Hi")
        assert caught.value.response.headers.get("retry-after") == expected


async def test_a_refusal_can_repeat_the_key_in_part_or_whole(upstream: Upstream) -> None:
    upstream.script(fails(401), fails(401, "Unknown key {key}"))
    with pytest.raises(openai.AuthenticationError, match=r"sk-test-\*+cdef"):
        await model(upstream).ainvoke("Hi")
    with pytest.raises(openai.AuthenticationError, match=KEY):
        await model(upstream).ainvoke("Hi")


# Broken answers


async def test_a_clean_cut_of_a_stream_looks_like_success_without_finish_reason(
    upstream: Upstream,
) -> None:
    upstream.script(cut(after_chunks=2, clean=True))
    answer = await collect(upstream, [])
    assert answer.content == "Hello from"
    assert "finish_reason" not in answer.response_metadata


async def test_a_reset_inside_a_stream_raises_after_the_pieces_before_it(
    upstream: Upstream,
) -> None:
    upstream.script(cut(after_chunks=2))
    pieces: list[str] = []
    with pytest.raises(lc_openai.OpenAIConnectionError):
        await collect(upstream, pieces)
    assert pieces == ["Hello", " from"]
    assert upstream.disconnects == 0


@pytest.mark.parametrize("clean", [True, False])
async def test_a_cut_plain_answer_raises(upstream: Upstream, clean: bool) -> None:
    upstream.script(cut(clean=clean))
    with pytest.raises(lc_openai.OpenAIConnectionError):
        await model(upstream).ainvoke("Hi")


async def test_an_error_event_raises_a_bare_api_error_after_the_pieces_before_it(
    upstream: Upstream,
) -> None:
    upstream.script(error_event(after_chunks=1))
    pieces: list[str] = []
    with pytest.raises(openai.APIError, match="had an error") as caught:
        await collect(upstream, pieces)
    assert type(caught.value) is openai.APIError
    assert pieces == ["Hello"]


async def test_an_error_object_with_status_200_raises_a_value_error(upstream: Upstream) -> None:
    upstream.script(error_event())
    with pytest.raises(ValueError, match="had an error"):
        await model(upstream).ainvoke("Hi")


async def test_garbage_raises_a_json_error_of_the_standard_library(upstream: Upstream) -> None:
    upstream.script(garbage(), garbage())
    with pytest.raises(json.JSONDecodeError):
        await model(upstream).ainvoke("Hi")
    with pytest.raises(json.JSONDecodeError):
        await collect(upstream, [])


async def test_json_of_another_shape_raises_if_plain_and_looks_like_success_if_streamed(
    upstream: Upstream,
) -> None:
    upstream.script(garbage('{"foo": 1}'), garbage('{"foo": 1}'))
    with pytest.raises(TypeError, match="null value for 'choices'"):
        await model(upstream).ainvoke("Hi")
    answer = await collect(upstream, [])
    assert answer.content == ""
    assert "finish_reason" not in answer.response_metadata


async def test_a_web_page_raises_a_value_error(upstream: Upstream) -> None:
    upstream.script(html(), html())
    # The message repeats the page: it must not reach a caller.
    with pytest.raises(ValueError, match="<!doctype html>"):
        await model(upstream).ainvoke("Hi")
    with pytest.raises(ValueError, match="No generation chunks were returned"):
        await collect(upstream, [])


async def test_redirects_are_followed_and_307_hands_the_prompt_to_the_other_host(
    upstream: Upstream,
) -> None:
    with Upstream() as other:
        target = f"{other.base_url}/chat/completions"
        upstream.script(redirects(target), redirects(target, status=307))
        with pytest.raises(openai.NotFoundError):
            await model(upstream).ainvoke("two words")
        await model(upstream).ainvoke("two words")

        by_get, by_post = other.requests
        assert (by_get.method, by_get.body, by_get.key) == ("GET", None, "")
        assert by_post.body["messages"][0]["content"] == "two words"
        assert by_post.key == ""


# Late answers, and clients that leave


@pytest.mark.parametrize("behaviour", [silent(), slow(first_token_s=5)])
async def test_a_late_answer_runs_into_the_timeout_and_the_leaving_is_counted(
    upstream: Upstream, behaviour: Behaviour
) -> None:
    upstream.script(behaviour)
    with pytest.raises(lc_openai.OpenAITimeoutError):
        await model(upstream, timeout=0.1).ainvoke("Hi")
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)
    assert await upstream.wait_for_async(lambda: upstream.active == 0)


async def test_an_answer_stands_still_until_it_is_released(upstream: Upstream) -> None:
    released = threading.Event()
    upstream.script(*[held("one two three", after_chunks=2, until=released)] * 2)
    pieces: list[str] = []
    streaming = asyncio.create_task(collect(upstream, pieces))
    plain = asyncio.create_task(model(upstream).ainvoke("Hi"))
    assert await upstream.wait_for_async(lambda: pieces == ["one", " two"])
    assert not plain.done()

    released.set()

    assert (await streaming).content == (await plain).content == "one two three"


async def test_comments_defeat_the_read_timeout_but_not_the_chunk_timeout(
    upstream: Upstream,
) -> None:
    late = slow(first_token_s=0.5, comment_s=0.05)
    upstream.script(late, late)
    assert (await collect(upstream, [], timeout=0.3)).content == "Hello from upstream"
    with pytest.raises(StreamChunkTimeoutError):
        await collect(upstream, [], timeout=0.3, stream_chunk_timeout=0.1)


async def test_the_chunk_timeout_does_not_act_before_the_head_of_the_answer(
    upstream: Upstream,
) -> None:
    upstream.script(silent())
    with pytest.raises(lc_openai.OpenAITimeoutError):
        await collect(upstream, [], timeout=0.2, stream_chunk_timeout=0.05)


async def test_a_pause_between_chunks_runs_into_the_chunk_timeout(upstream: Upstream) -> None:
    upstream.script(slow(first_token_s=0, chunk_s=5))
    pieces: list[str] = []
    with pytest.raises(StreamChunkTimeoutError):
        await collect(upstream, pieces, stream_chunk_timeout=0.1)
    assert pieces == ["Hello"]
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("behaviour", [silent(), slow(first_token_s=5)])
async def test_a_cancelled_client_is_counted_at_once(
    upstream: Upstream, behaviour: Behaviour, stream: bool
) -> None:
    upstream.script(behaviour)
    run = collect(upstream, []) if stream else model(upstream).ainvoke("Hi")
    task = asyncio.create_task(run)
    assert await upstream.wait_for_async(lambda: upstream.active == 1)

    left = time.monotonic()
    task.cancel()
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)
    assert time.monotonic() - left < 0.5
    assert await upstream.wait_for_async(lambda: upstream.active == 0)


async def test_reset_drops_answers_under_way_without_counting_them(upstream: Upstream) -> None:
    upstream.script(silent())
    task = asyncio.create_task(model(upstream).ainvoke("Hi"))
    assert await upstream.wait_for_async(lambda: upstream.active == 1)
    upstream.reset()
    with pytest.raises(lc_openai.OpenAIConnectionError):
        await task
    assert (upstream.active, upstream.disconnects) == (0, 0)


async def test_a_stopped_server_refuses_connections() -> None:
    with Upstream() as stopped:
        pass
    with pytest.raises(lc_openai.OpenAIConnectionError):
        await model(stopped).ainvoke("Hi")


async def test_a_client_used_from_a_second_loop_fails_on_its_kept_connection() -> None:
    # Why tests with a loop each want a server each: a new port is a new client.
    with Upstream() as upstream:
        client = model(upstream)

        def ask() -> str:
            return asyncio.run(client.ainvoke("Hi")).content

        assert await asyncio.to_thread(ask) == "Hello from upstream"
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            await asyncio.to_thread(ask)


# Anthropic's Messages


def claude(upstream: Upstream, **options: Any) -> ChatAnthropic:
    settings = {"model": "claude-test", "api_key": KEY, "max_retries": 0, "timeout": 5}
    return ChatAnthropic(base_url=upstream.url, **(settings | options))


async def test_claude_answers_whole_and_in_words_with_usage_and_stop_reason(upstream: Upstream) -> None:
    whole = await claude(upstream).ainvoke("two words")
    chunks = [chunk async for chunk in claude(upstream).astream("two words")]

    assert whole.content == "Hello from upstream"
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hello", " from", " upstream"]
    for answer in (whole, add_ai_message_chunks(*chunks)):
        assert answer.usage_metadata["input_tokens"] == 2
        assert answer.usage_metadata["output_tokens"] == 3
        assert answer.response_metadata["stop_reason"] == "end_turn"


async def test_claude_thinks_and_calls_tools(upstream: Upstream) -> None:
    upstream.script(messages.says("Yes", thinking="Let me see."), messages.calls("look", word="cat"))
    thought = await claude(upstream, thinking={"type": "adaptive"}).ainvoke("Hi")
    called = await claude(upstream).ainvoke("Hi")

    assert [block["type"] for block in thought.content] == ["thinking", "text"]
    assert [(call["name"], call["args"]) for call in called.tool_calls] == [("look", {"word": "cat"})]


async def test_a_request_that_the_messages_api_does_not_take_is_refused(upstream: Upstream) -> None:
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        await claude(upstream, model_kwargs={"max_tokens": 0}).ainvoke("Hi")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (messages.refuses(401), anthropic.AuthenticationError),
        (messages.refuses(429), anthropic.RateLimitError),
        (messages.refuses(529), anthropic.OverloadedError),
        (messages.error_event(0), anthropic.APIStatusError),
        (messages.cut(1), (anthropic.APIConnectionError, httpx2.RemoteProtocolError, httpx2.ReadError)),
    ],
)
async def test_claudes_faults_are_those_of_the_api(
    upstream: Upstream, behaviour: Behaviour, error: Any, stream: bool
) -> None:
    async def ask() -> None:
        if stream:
            [chunk async for chunk in claude(upstream).astream("Hi")]
        else:
            await claude(upstream).ainvoke("Hi")

    upstream.script(behaviour)

    with pytest.raises(error):
        await ask()
