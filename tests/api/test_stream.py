"""POST /chains/<ref>/stream: server-sent events in LangServe's framing."""

import json

import pytest
from asgiref.sync import sync_to_async

from chains.models import Run
from tests.api.conftest import fields_at_fault, frames, is_error, sent
from tests.conftest import add_chain, add_prompt, step
from tests.upstream import answers, cut, fails, rate_limited, slow

STREAM = "/chains/joke/stream"


def topic(text: str) -> dict:
    return {"input": {"topic": text}}


async def test_the_stream_has_langserves_framing_to_the_byte(api, joke):
    response = await api.post(STREAM, topic("hello brave world"))
    data = await sent(response)

    run = await Run.objects.aget()
    assert data.decode() == (
        f'event: metadata\r\ndata: {{"run_id": "{run.id}"}}\r\n\r\n'
        'event: data\r\ndata: "hello"\r\n\r\n'
        'event: data\r\ndata: " brave"\r\n\r\n'
        'event: data\r\ndata: " world"\r\n\r\n'
        "event: end\r\n\r\n"
    )
    assert (run.source, run.status, run.output) == ("sse", "succeeded", "hello brave world")


async def test_the_headers_are_a_streams_and_name_the_versions(api, joke):
    response = await api.post(STREAM, topic("x"), Accept="text/event-stream")
    await sent(response)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-ChainHub-Version"] == "joke@1"
    assert response.headers["X-ChainHub-Prompts"] == "joke@1"
    assert response.headers["X-ChainHub-Run-ID"] == str((await Run.objects.aget()).id)


async def test_what_clients_take_for_a_line_end_is_escaped(api, joke):
    text = "a\u2028b\u2029c\u0085d\re\nf\x0bg\x1ch猫"

    data = await sent(await api.post(STREAM, topic(text)))

    chunks = [json.loads(chunk) for event, chunk in frames(data) if event == "data"]
    assert "".join(chunks) == text
    assert data.isascii()
    assert len(data.decode().splitlines()) == data.count(b"\r\n")


@pytest.mark.parametrize("text", ["data: [DONE]\n\n", "event: error\r\ndata: {}\r\n\r\n", "\x1b[31mred"])
async def test_an_answer_that_looks_like_framing_is_text(api, poem, upstream, text):
    upstream.script(answers(text))

    events = frames(await sent(await api.post("/chains/poem/stream", topic("x"))))

    assert events[0][0] == "metadata"
    assert events[-1] == ("end", "")
    assert {event for event, _ in events[1:-1]} == {"data"}
    assert "".join(json.loads(data) for _, data in events[1:-1]) == text


async def test_a_message_is_streamed_in_chunks_of_a_message(api, demo):
    await sync_to_async(add_prompt)("joke")
    await sync_to_async(add_chain)("joke", step(parser={"kind": "message"}))

    events = frames(await sent(await api.post(STREAM, topic("one two"))))

    chunks = [json.loads(data) for event, data in events if event == "data"]
    assert {chunk["type"] for chunk in chunks} == {"AIMessageChunk"}
    assert "".join(chunk["content"] for chunk in chunks) == "one two"
    assert {"tool_calls", "usage_metadata", "id", "response_metadata"} <= set(chunks[0])


async def test_a_list_is_streamed_in_lists(api, demo):
    await sync_to_async(add_prompt)("joke")
    await sync_to_async(add_chain)("joke", step(parser={"kind": "list"}))

    events = frames(await sent(await api.post(STREAM, topic("red, green, blue"))))

    chunks = [json.loads(data) for event, data in events if event == "data"]
    assert [item for chunk in chunks for item in chunk] == ["red", "green", "blue"]


async def test_only_the_last_steps_answer_is_streamed(api, demo):
    await sync_to_async(add_prompt)("outline", "Outline {topic}")
    await sync_to_async(add_prompt)("write", "Write {outline}")
    await sync_to_async(add_chain)("joke", step("outline", name="outline"), step("write", name="write"))

    events = frames(await sent(await api.post(STREAM, topic("cats"))))

    assert [event for event, _ in events].count("metadata") == 1
    assert "".join(json.loads(d) for e, d in events if e == "data") == "Write Outline cats"


# --- Failures ----------------------------------------------------------------------------------


async def test_a_failure_before_the_first_chunk_is_only_an_error(api, poem, upstream):
    upstream.script(fails(404))

    response = await api.post("/chains/poem/stream", topic("x"))
    events = frames(await sent(response))

    run = await Run.objects.aget()
    assert response.status_code == 200
    assert [event for event, _ in events] == ["error"]
    error = json.loads(events[0][1])
    assert (error["status_code"], error["code"], error["run_id"]) == (502, "provider_refused", str(run.id))
    assert error["message"] == error["detail"]


async def test_a_failure_in_the_middle_follows_what_was_sent(api, poem, upstream):
    upstream.script(cut(after_chunks=2))

    events = frames(await sent(await api.post("/chains/poem/stream", topic("x"))))

    assert [event for event, _ in events] == ["metadata", "data", "data", "error"]
    assert json.loads(events[-1][1])["status_code"] == 502
    run = await Run.objects.aget()
    assert (run.status, run.output) == ("failed", "Hello from")


async def test_an_error_event_tells_the_honest_status(api, poem, upstream, openai):
    openai.first_token_timeout_s = 0.2
    await openai.asave()
    upstream.script(slow(first_token_s=30))

    events = frames(await sent(await api.post("/chains/poem/stream", topic("x"))))

    error = json.loads(events[-1][1])
    assert (error["status_code"], error["code"]) == (504, "provider_timeout")


async def test_a_full_provider_is_503_in_the_event(api, poem, upstream):
    upstream.script(rate_limited(retry_after="3600"))

    events = frames(await sent(await api.post("/chains/poem/stream", topic("x"))))

    assert json.loads(events[-1][1])["status_code"] == 503


async def test_a_bad_input_is_refused_as_json_before_any_stream(api, joke):
    response = await api.post(STREAM, {"input": {"topic": 3}}, Accept="text/event-stream")

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["topic"]]
    assert not await Run.objects.aexists()


async def test_an_unknown_chain_is_refused_as_json_before_any_stream(api, joke):
    response = await api.post("/chains/nope/stream", topic("x"), Accept="text/event-stream")

    assert is_error(response, 404, "not_found")


# --- Silence -----------------------------------------------------------------------------------


async def test_a_comment_is_sent_where_nothing_happens_and_the_answer_stays_whole(
    api, poem, upstream, settings
):
    settings.SSE_PING_SECONDS = 0.05
    upstream.script(slow(first_token_s=0.3, chunk_s=0.15))

    data = await sent(await api.post("/chains/poem/stream", topic("x")))

    blocks = data.decode().split("\r\n\r\n")
    assert blocks[0].startswith(": ping - ")
    assert sum(block.startswith(": ping - ") for block in blocks) >= 4
    chunks = [json.loads(chunk) for event, chunk in frames(data) if event == "data"]
    assert "".join(chunks) == "Hello from upstream"


async def test_metadata_only_goes_before_a_chunk(api, poem, upstream):
    upstream.script(answers(""))

    events = [event for event, _ in frames(await sent(await api.post("/chains/poem/stream", topic("x"))))]

    assert events[-1] in ("end", "error")
    assert ("metadata" in events) == ("data" in events)
