"""Answers of the shapes that real providers give them. In all of them the model has said "Hello"."""

import asyncio
import gzip
import json
import zlib

import pytest

from chains.runtime import errors
from chains.runtime.pricing import Usage
from tests.runtime.helpers import BOTH, Ran, plan, prompt, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import HELLO, body, raw
from tests.upstream.completions import STOP, USAGE, USED, chunk, completion, events, texts

A = texts("Hel", "lo")
BOM = b"\xef\xbb\xbf"
FILTER = {"content_filter_results": {"hate": {"filtered": False}}, "index": 0, "finish_reason": None}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


NESTED: dict = {"type": "thinking", "thinking": "hm"}
for _ in range(400):
    NESTED = {"type": "thinking", "thinking": [NESTED]}


def tool_call(**call) -> dict:
    return chunk({"tool_calls": [call]})


STREAMS = {
    # Odd events
    "a choice without delta": events({"id": "", "choices": [FILTER]}, *A, {"choices": [FILTER]}, STOP, USED),
    "delta null": events(*A, chunk(None, "stop")),
    "no delta, but the finish reason": events(*A, chunk(..., "stop")),
    "no choices beside the usage": events(*A, STOP, {"id": "c", "usage": USAGE}),
    "choices null, text, of nulls": events(
        {"choices": None}, {"choices": "x"}, {"choices": [None]}, *A, STOP
    ),
    "empty and null data": events(b"data: \n\ndata:\n\ndata: null\n\n", *A, b"data: {}\n\n", STOP),
    "words, numbers and lists as data": events(b"data: ping\n\ndata: 3\n\ndata: [1]\n\n", *A, STOP),
    "a ping event": events(b'event: ping\ndata: {"type": "ping"}\n\n', *A, STOP),
    "usage that is none": events(
        *A, *[{**STOP, "usage": u} for u in ([1], "n/a", 3, {"prompt_tokens": 0.5})]
    ),
    "error null with each chunk": events(*[{**event, "error": None} for event in A], {**STOP, "error": {}}),
    "a code that says that all is well": events(
        *[{**event, "code": 0, "message": "ok"} for event in A], STOP
    ),
    "ids and logprobs of other types": events(*[{**event, "id": 5} for event in A], STOP),
    "other roles": events(
        chunk({"role": "user", "content": "Hel"}), chunk({"role": None, "content": "lo"}, "stop")
    ),
    "no role": events(chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop")),
    "content as blocks": events(
        chunk({"content": [THOUGHT]}), chunk({"content": [{"type": "text", "text": "Hel"}]}), *A[2:], STOP
    ),
    "content of another type": events(chunk({"content": 3}), *A, STOP),
    "tool calls null and empty": events(chunk({"content": "Hel", "tool_calls": None}), *A[2:], STOP),
    "a function that is null": events(*A, tool_call(index=0, id="x", function=None), STOP),
    "a tool call without an index": events(
        *A, tool_call(id=7, function={"name": "f", "arguments": {"a": 1}}), STOP
    ),
    "another choice": events(*A, {**STOP, "choices": [{"index": 1, "delta": {"content": "x"}}]}, STOP),
    "a whole message as an event": events(completion()),
    "the whole message again at the end": events(*A, completion()),
    "the finish chunk twice": events(*A, STOP, STOP, USED, USED),
    "whole messages that grow": events(
        *[{**completion(text, None), "object": "chat.completion.chunk"} for text in ("", "He", "Hello")], STOP
    ),
    "messages in place of deltas": events(completion("Hel", None), completion("lo", None), STOP),
    "the same text as content and refusal": events(chunk({"content": "Hello", "refusal": "Hello"}), STOP),
    "the text of older completions": events(
        {"choices": [{"text": "Hel", "index": 0}]}, {"choices": [{"text": "lo", "finish_reason": "stop"}]}
    ),
    "choices that are one object": events(*[{**event, "choices": event["choices"][0]} for event in A], STOP),
    "blocks nested for ever": events(chunk({"content": [NESTED]}), *A, STOP),
    "a number of 5000 digits": events(*A, done=False)
    + b'data: {"created": '
    + b"1" * 5000
    + b', "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    "usage nested for ever": events(*A, {**STOP, "usage": {"prompt_tokens": 1, "x": NESTED}}),
    "the finish reason in the delta": events(*A, chunk({"finish_reason": "stop"}), done=False),
    "deltas that are texts": events(chunk("Hel"), chunk("lo"), STOP),
    "an empty delta beside a whole message": events(
        {"choices": [{"delta": {}, "message": {"content": "Hello"}, "finish_reason": "stop"}]}
    ),
    "only an alternative": events(
        *[{"choices": [{"index": 1, "delta": {"content": text}}]} for text in ("Hel", "lo")]
    ),
    "words of a gateway in between": events(
        A[1],
        {"detail": "queued, position 2"},
        {"type": "status", "message": "processing", "code": 102},
        {"object": "moderation", "errors": ["x"]},
        {"id": "1", "message": "Loading model", "code": "loading"},
        b"data: the limit is near\n\n",
        A[2],
        STOP,
    ),
    "events as texts": events(*[json.dumps(event) for event in (*A, STOP)]),
    "events inside of others": events(*[{"code": 200, "data": event} for event in (*A, STOP)]),
    # Framing
    "no space after data:": events(*A, STOP, prefix=b"data:"),
    "CR LF": events(*A, STOP, end=b"\r\n\r\n"),
    "CR": events(*A, STOP, end=b"\r\r"),
    "one line end between events": events(*A, STOP, end=b"\n"),
    "comments": events(b": PROCESSING\n\n: PROCESSING\n\n", *A, b": ping\n\n", STOP),
    "other fields": events(
        *[b"id: 1\nevent: message\nretry: 3\n" + events(e, done=False) for e in (*A, STOP)]
    ),
    "a BOM": BOM + events(*A, STOP),
    "line ends first": b"\r\n\n" + events(*A, STOP),
    "a quoted end": events(*A, done=False) + b'data: "[DONE]"\n\n',
    "two events in one line": events(
        b"data: " + json.dumps(A[1]).encode() + b" data: " + json.dumps(A[2]).encode() + b"\n\n", STOP
    ),
    "the end behind the last event": events(*A, done=False)
    + b"data: "
    + json.dumps(STOP).encode()
    + b" [DONE]\n\n",
    "words, then an event, with one line end": events(b"data: ping\n", *A, STOP, end=b"\n"),
    "lines of JSON": b"\n".join(json.dumps(event).encode() for event in (*A, STOP)),
    "a comment, then lines of JSON": b": hi\n\n" + b"\n".join(json.dumps(e).encode() for e in (*A, STOP)),
    "a comment, then a body": b": hi\n\n" + json.dumps(completion(), indent=1).encode(),
    "empty lines of data": events(b"data:\n" * 200_000 + b"\n", *A, STOP),
    "no end of the last line": events(*A, STOP, done=False).rstrip(b"\n"),
    "data in several lines": b"".join(
        b"".join(b"data: %s\n" % line for line in json.dumps(event, indent=1).encode().split(b"\n")) + b"\n"
        for event in (*A, STOP)
    ),
    "rubbish after the end": events(*A, STOP) + b"data: rubbish\n\n",
    "no [DONE]": events(*A, STOP, done=False),
    "no finish reason": events(*A),
    "an empty finish reason": events(
        *[chunk({"content": piece}, "") for piece in ("Hel", "lo")], chunk({}, "")
    ),
}


@pytest.mark.parametrize("shape", STREAMS)
@BOTH
async def test_an_answer_stands_whatever_its_events_look_like(upstream, shape, streaming):
    upstream.script(raw(STREAMS[shape]))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == ("Hello", "stop", 1)
    assert "".join(ran.chunks) == ("Hello" if streaming else "")


WIRES = {
    "text/plain": raw(events(*A, STOP), content_type="text/plain"),
    "application/json": raw(events(*A, STOP), content_type="application/json"),
    "no type": raw(events(*A, STOP), content_type=None),
    "an odd type": raw(events(*A, STOP), content_type="Text/Event-Stream;charset=UTF8"),
    "status 201": raw(events(*A, STOP), status=201),
    "until the connection closes": raw(events(*A, STOP), framing="close"),
    "with its length": raw(events(*A, STOP), framing="length"),
    "a byte at a time": raw(*[bytes([byte]) for byte in events(*A, STOP)]),
    "cut after the finish reason": raw(events(*A, STOP, done=False), ending="cut"),
    "pings after the finish reason": raw(events(*A, STOP, done=False), *[0.3, b": ping\n\n"] * 20),
    "held after the finish reason": raw(events(*A, STOP, done=False), ending="held"),
    "a JSON body": body(completion()),
    "a JSON body as events": body(completion(), content_type="text/event-stream"),
    "a JSON body with a BOM and space": body(BOM + b"\n " + json.dumps(completion(), indent=1).encode()),
    "a JSON body without finish reason": body(completion(finish_reason=None)),
    "a JSON body with status 201": body(completion(), status=201),
    "a JSON body held open": body(completion(), framing="chunked", ending="held"),
    "a JSON body cut after its end": body(completion(), framing="chunked", ending="cut"),
    "a JSON body until the connection closes": body(completion(), framing="close"),
    "gzip": body(gzip.compress(json.dumps(completion()).encode()), headers=(("content-encoding", "gzip"),)),
    "gzip that is none": raw(events(*A, STOP), headers=(("content-encoding", "gzip"),)),
    "gzip without a label": body(gzip.compress(json.dumps(completion()).encode())),
    "deflate": body(
        zlib.compress(json.dumps(completion()).encode()), headers=(("content-encoding", "deflate"),)
    ),
    "a gzip stream": raw(
        *[bytes([b]) for b in gzip.compress(events(*A, STOP))], headers=(("content-encoding", "gzip"),)
    ),
    "deflate without its head": body(
        zlib.compress(json.dumps(completion()).encode(), wbits=-15),
        headers=(("content-encoding", "deflate"),),
    ),
    "not packed, whatever its label": body(completion(), headers=(("content-encoding", "deflate"),)),
    "gzip in two parts": raw(
        gzip.compress(events(A[1], done=False)) + gzip.compress(events(A[2], STOP)),
        headers=(("content-encoding", "gzip"),),
    ),
    "a JSON body as a text": body(json.dumps(json.dumps(completion())).encode()),
    "a JSON body in a list": body([completion()]),
    "a JSON body inside of another": body({"success": True, "result": completion()}),
    "a body with more behind it": body(json.dumps(completion()).encode() + b"\n{}x"),
    "the only choice is the second": body(
        {**completion(), "choices": [{**completion()["choices"][0], "index": 1}]}
    ),
    "a header of 30 kB": raw(events(*A, STOP), headers=(("x-long", "x" * 30_000),)),
}


@pytest.mark.parametrize("wire", WIRES)
@BOTH
async def test_an_answer_stands_whatever_its_transport_says(upstream, wire, streaming):
    upstream.script(WIRES[wire])

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == ("Hello", "stop", 1)


@pytest.mark.parametrize(
    "cut",
    [
        raw(events(*A, done=False)),
        raw(events(*A, done=False), ending="cut"),
        raw(events(*A, done=False), framing="close"),
        raw(events(*A, STOP, done=False)[:-20], ending="cut"),
        raw(events(*A, done=False) + b'data: {"choices": [{"delta": {"content": "x'),
    ],
)
async def test_a_stream_that_ends_before_its_end_is_told_is_no_success(upstream, cut):
    upstream.script(cut)
    ran = Ran()

    with pytest.raises(errors.ProviderError) as caught:
        await run(one(upstream), into=ran)

    assert caught.value.code in ("provider_cut", "provider_garbage")
    assert ("".join(ran.chunks), len(upstream.requests)) == ("Hello", 1)


async def test_a_body_that_is_cut_is_fetched_again(upstream):
    upstream.script(body(json.dumps(completion()).encode()[:-40], framing="chunked", ending="cut"))

    ran = await run(one(upstream), streaming=False)

    assert (ran.output, len(upstream.requests)) == (HELLO, 2)


async def test_text_after_the_finish_reason_counts_as_long_as_it_comes(upstream):
    slow = [
        part
        for piece in texts(*"Hello")
        for part in (events(chunk(piece["choices"][0]["delta"], "stop"), done=False), 0.3)
    ]
    upstream.script(raw(*slow, events(), ending="held"))

    assert (await run(one(upstream, chunk_s=1))).output == "Hello"


@pytest.mark.parametrize("end", [events(), b"", events({"error": {"code": 503, "message": "x"}})])
async def test_a_finish_reason_with_every_piece_ends_no_answer(upstream, end):
    pieces = [
        part for text in "Hello" for part in (events(chunk({"content": text}, "stop"), done=False), 0.3)
    ]
    upstream.script(raw(*pieces, end))
    ran = Ran()

    running = run(one(upstream, chunk_s=0.5), into=ran)
    if b"error" in end:
        with pytest.raises(errors.ProviderFailed):
            await running
    else:
        await running

    assert ("".join(ran.chunks), len(upstream.requests)) == ("Hello", 1)


@BOTH
async def test_lines_of_json_are_a_stream(upstream, streaming):
    lines = [json.dumps(event).encode() + b"\n" for event in (*texts(*"Hello"), STOP)]
    upstream.script(
        raw(*[part for line in lines for part in (line, 0.2)], content_type="application/x-ndjson")
    )

    ran = await run(one(upstream, chunk_s=0.5), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == ("Hello", "stop", 1)
    assert len(ran.chunks) == (5 if streaming else 0)


async def test_choices_of_one_index_are_one_message(upstream):
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = [{"message": {"content": "Hi"}}, {"message": {"content": None, "tool_calls": [call]}}]
    upstream.script(
        body({**completion(), "choices": [{**part, "finish_reason": "tool_calls"} for part in parts]})
    )

    ran = await run(one(upstream, parser="message"), streaming=False)

    assert (ran.output.content, [call["name"] for call in ran.output.tool_calls]) == ("Hi", ["f"])


async def test_a_bomb_does_not_keep_the_loop(upstream):
    bomb = gzip.compress((b": " + b"x" * 1000 + b"\n") * 200_000, 1)
    upstream.script(body(bomb, headers=(("content-encoding", "gzip"),)))
    waits: list[float] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0)
            waits.append(loop.time() - before)

    watching = asyncio.create_task(watch())
    with pytest.raises(errors.OutputInvalid):
        await run(one(upstream))
    watching.cancel()

    assert max(waits) < 0.5


# --- Usage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counted",
    [
        events(*[{**event, "usage": USAGE} for event in A], {**STOP, "usage": USAGE}, USED),
        events(*A, STOP, USED, {**USED, "usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
        events(*A, {**STOP, "choices": [{**STOP["choices"][0], "usage": USAGE}]}),
        events(*A, {**STOP, "x_groq": {"usage": USAGE}}),
        events(*A, STOP, {**USED, "usage": {"prompt_tokens": "1", "completion_tokens": 2.0}}),
        events(*A, STOP, {**USED, "usage": {"input_tokens": 1, "output_tokens": 2}}),
        events(*A, STOP, {**USED, "usage": {"prompt_tokens": None, "input_tokens": 1, "output_tokens": 2}}),
        events(*A, STOP, {**USED, "usage": {"prompt_tokens": 1, "total_tokens": 3}}),
        events(*A, {**STOP, "usage": {"prompt_tokens": 1}}, {**USED, "usage": {"completion_tokens": 2}}),
    ],
)
@pytest.mark.parametrize("parser", ["text", "message"])
async def test_usage_counts_once_however_often_it_is_told(upstream, counted, parser):
    upstream.script(raw(counted))

    ran = await run(one(upstream, parser=parser))

    assert ran.calls[0].usage == Usage(input_tokens=1, output_tokens=2)
    if parser == "message":
        assert ran.output.usage_metadata["total_tokens"] == 3
        assert ran.output.response_metadata["finish_reason"] == "stop"


DETAILED = {
    "OpenAI": (
        {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 5}},
        {"cached": 4, "reasoning": 5},
    ),
    "DeepSeek": ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, {"cached": 4}),
    "audio": (
        {"prompt_tokens_details": {"audio_tokens": 1}, "completion_tokens_details": {"audio_tokens": 2}},
        {"audio_in": 1, "audio_out": 2},
    ),
    "odd": ({"prompt_tokens_details": [1], "completion_tokens_details": {"reasoning_tokens": "x"}}, {}),
}


@pytest.mark.parametrize("server", DETAILED)
@BOTH
async def test_the_parts_of_the_usage_are_kept(upstream, server, streaming):
    more, details = DETAILED[server]
    upstream.script(body(completion(usage={"prompt_tokens": 10, "completion_tokens": 20, **more})))

    ran = await run(one(upstream), streaming=streaming)

    assert ran.calls[0].usage == Usage(input_tokens=10, output_tokens=20, details=details)


# --- Characters --------------------------------------------------------------------------------


def delta_of(content: bytes) -> bytes:
    """An event whose content is written as it stands, escapes included."""
    return b'data: {"choices": [{"index": 0, "delta": {"content": "' + content + b'"}}]}\n\n'


@pytest.mark.parametrize("parser", ["text", "message"])
async def test_an_emoji_in_two_halves_is_held_until_it_is_whole(upstream, parser):
    upstream.script(raw(delta_of(rb"ok \ud83d"), 0.02, delta_of(rb"\ude00!"), events(STOP)))

    ran = await run(one(upstream, parser=parser))

    texts = ran.chunks if parser == "text" else [piece["content"] for piece in ran.chunks]
    assert [text for text in texts if text] == ["ok ", "\U0001f600!"]


async def test_half_an_emoji_that_stays_alone_is_replaced(upstream):
    upstream.script(raw(delta_of(rb"a\ud83d"), delta_of(rb"b\ude00"), delta_of(rb"\ud83d"), events(STOP)))

    assert "".join((await run(one(upstream))).chunks) == "a\ufffdb\ufffd\ufffd"


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_bytes_of_a_character_that_come_in_two_events_are_joined(upstream, cut):
    letter = "\U0001f600".encode()
    upstream.script(raw(delta_of(b"a" + letter[:cut]), delta_of(letter[cut:] + b"b"), events(STOP)))

    assert (await run(one(upstream))).output == "a\U0001f600b"


async def test_bytes_that_are_no_character_are_replaced(upstream):
    upstream.script(raw(delta_of(b"a\xffb"), delta_of(b"c\xf0\x9f"), events(STOP)))

    assert (await run(one(upstream))).output == "a\ufffdbc\ufffd"


async def test_a_letter_that_is_cut_between_two_reads_is_whole(upstream):
    whole = delta_of("café".encode())
    cut = whole.index(b"\xa9")
    upstream.script(raw(whole[:cut], 0.02, whole[cut:], events(STOP)))

    assert (await run(one(upstream))).output == "café"


# --- Pictures ----------------------------------------------------------------------------------


async def test_only_text_counts_towards_the_length_of_a_prompt(upstream):
    asks = {"placeholder": "messages"}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    message = {"type": "human", "content": [{"type": "text", "text": "What is it?"}, picture]}

    ran = await run(plan(step(target(upstream), asks=prompt(asks))), {"messages": [message]})

    assert ran.output == HELLO
    assert len(upstream.requests[0].body["messages"][0]["content"]) == 2
