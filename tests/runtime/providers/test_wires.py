"""Anthropic's Messages API and ``/responses``, as servers and gateways deviate from them.

In every answer the model has said "Hello".
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from chains.runtime import errors
from chains.runtime.plans.base import Plan
from chains.runtime.providers.answers import AnswerReader
from chains.runtime.providers.collected import Collected
from chains.runtime.providers.messages import Message
from chains.runtime.providers.responses import Response
from chains.runtime.providers.tidy import Tidy
from tests.runtime.helpers import BOTH, Ran, plan, run, step, target
from tests.upstream import body, raw

Event = dict[str, Any]


def events(*items: Event | bytes, named: bool = True, end: bytes = b"\n") -> bytes:
    parts = []
    for item in items:
        if isinstance(item, bytes):
            parts.append(item)
            continue
        name = b"event: " + item["type"].encode() + end if named else b""
        parts.append(name + b"data: " + json.dumps(item).encode() + end + end)
    return b"".join(parts)


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One wire format: ``stream`` are its events, of which the last ``closing`` tell the end."""

    kind: dict[str, Any]
    reads: Callable[[Tidy], Collected]
    stream: Sequence[Event]
    closing: int
    whole: Event

    def plan(self, upstream, parser: str = "text", **data: Any) -> Plan:
        return plan(step(target(upstream, **self.kind, **data), parser=parser))


def block_delta(**delta: Any) -> Event:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def text_delta(text: str) -> Event:
    return block_delta(type="text_delta", text=text)


MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": []}
TEXT = {"type": "text", "text": "Hello"}
CLAUDE = Wire(
    kind={"kind": "anthropic", "model": "claude-9"},
    reads=Message,
    stream=(
        {"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        text_delta("Hel"),
        text_delta("lo"),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ),
    closing=2,
    whole={
        **MESSAGE,
        "content": [TEXT],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    },
)


def part_event(kind: str, **fields: Any) -> Event:
    return {"type": kind, "output_index": 0, "content_index": 0, "item_id": "m1", **fields}


PART = {"type": "output_text", "text": "Hello", "annotations": []}
ITEM = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
RESPONSE = {
    "id": "r1",
    "object": "response",
    "model": "m",
    "status": "completed",
    "output": [ITEM],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}


def output_delta(text: str) -> Event:
    return part_event("response.output_text.delta", delta=text)


RESPONSES = Wire(
    kind={"habits": {"api": "responses"}},
    reads=Response,
    stream=(
        {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "content": []}},
        output_delta("Hel"),
        output_delta("lo"),
        part_event("response.output_text.done", text="Hello"),
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        {"type": "response.completed", "response": RESPONSE},
    ),
    closing=1,
    whole=RESPONSE,
)
WIRES = {"anthropic": CLAUDE, "responses": RESPONSES}
EVERY = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)


def without(stream: Sequence[Event], *kinds: str) -> list[Event]:
    return [event for event in stream if event["type"] not in kinds]


FORMS: dict[str, Callable[[Wire], Any]] = {
    "as documented": lambda wire: raw(events(*wire.stream)),
    "without names": lambda wire: raw(events(*wire.stream, named=False)),
    "with [DONE]": lambda wire: raw(events(*wire.stream, b"data: [DONE]\n\n")),
    "CR": lambda wire: raw(events(*wire.stream, end=b"\r")),
    "odd events": lambda wire: raw(
        events(
            b"data: null\n\ndata:\n\nevent: ping\ndata: x\n\n",
            *wire.stream[:3],
            b'data: {"type": "new.kind", "delta": null}\n\ndata: {"detail": "queued"}\n\n: ping\n\n',
            *wire.stream[3:],
        )
    ),
    "a JSON body": lambda wire: body(wire.whole),
    "a JSON body as events": lambda wire: body(wire.whole, content_type="text/event-stream"),
    "a JSON body without its end": lambda wire: body({**wire.whole, "stop_reason": None, "status": None}),
    "held after its end": lambda wire: raw(events(*wire.stream), ending="held"),
    "cut after its end": lambda wire: raw(events(*wire.stream), ending="cut"),
}


@pytest.mark.parametrize("form", FORMS)
@EVERY
@BOTH
async def test_an_answer_stands_whatever_its_form(upstream, wire, form, streaming):
    upstream.script(FORMS[form](wire))

    ran = await run(wire.plan(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == ("Hello", "stop", 1)
    assert (ran.calls[0].usage.input_tokens, ran.calls[0].usage.output_tokens) == (1, 2)


SHAPES = {
    "a delta that is null": (
        CLAUDE,
        events(*CLAUDE.stream[:3], {"type": "content_block_delta", "delta": None}, *CLAUDE.stream[3:]),
    ),
    "no beginning": (CLAUDE, events(*CLAUDE.stream[2:])),
    "no stop reason": (CLAUDE, events(*without(CLAUDE.stream, "message_delta"))),
    "no last event": (CLAUDE, events(*without(CLAUDE.stream, "message_stop"))),
    "a text as content": (CLAUDE, json.dumps({**CLAUDE.whole, "content": "Hello"}).encode()),
    "nothing but the last event": (RESPONSES, events(RESPONSES.stream[-1])),
    "nothing but deltas": (RESPONSES, events(*RESPONSES.stream[2:4], b"data: [DONE]\n\n")),
    "nothing but whole parts": (RESPONSES, events(*RESPONSES.stream[4:6], b"data: [DONE]\n\n")),
    "no output at the end": (
        RESPONSES,
        events(
            *RESPONSES.stream[:-1],
            {"type": "response.completed", "response": {**RESPONSE, "output": None}},
        ),
    ),
    "a beginning without a response": (
        RESPONSES,
        events({"type": "response.created"}, *RESPONSES.stream[1:]),
    ),
    "no response at the end": (RESPONSES, events(*RESPONSES.stream[:-1], {"type": "response.completed"})),
}


@pytest.mark.parametrize("shape", SHAPES)
@BOTH
async def test_an_answer_stands_whatever_is_missing(upstream, shape, streaming):
    wire, said = SHAPES[shape]
    upstream.script(raw(said))

    ran = await run(wire.plan(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, len(upstream.requests)) == ("Hello", "stop", 1)


# --- Reasoning, refusals, tools ----------------------------------------------------------------

SUMMED = {"type": "response.reasoning_summary_text.delta", "output_index": 1, "summary_index": 0}
REASONED = {"type": "reasoning", "id": "x", "summary": [{"type": "summary_text", "text": "hm"}]}
THOUGHTS = {
    "thinking": (
        CLAUDE,
        [block_delta(type="thinking_delta", thinking="h"), block_delta(type="x", thinking="m")],
    ),
    "summary": (
        RESPONSES,
        [
            {
                "type": "response.reasoning_summary_text.delta",
                "output_index": 1,
                "summary_index": 0,
                "delta": text,
            }
            for text in "hm"
        ]
        + [{"type": "response.output_item.done", "output_index": 1, "item": REASONED}],
    ),
    "text": (
        RESPONSES,
        [{"type": "response.reasoning_text.delta", "output_index": 1, "delta": text} for text in "hm"],
    ),
    "whole": (RESPONSES, [{"type": "response.output_item.done", "output_index": 1, "item": REASONED}]),
}


@pytest.mark.parametrize("form", THOUGHTS)
async def test_reasoning_is_kept_apart_and_told_once(upstream, form):
    wire, thoughts = THOUGHTS[form]
    upstream.script(raw(events(wire.stream[0], *thoughts, *wire.stream[1:])))

    ran = await run(wire.plan(upstream))

    assert (ran.output, ran.calls[0].reasoning) == ("Hello", "hm")


@pytest.mark.alone
@pytest.mark.parametrize(
    ("wire", "sign"),
    [
        (CLAUDE, {"type": "ping"}),
        (CLAUDE, block_delta(type="thinking_delta", thinking="hm")),
        (RESPONSES, {"type": "response.in_progress", "response": {"status": "in_progress"}}),
        (RESPONSES, {"type": "response.reasoning_summary_text.delta", "delta": "hm"}),
    ],
)
async def test_any_event_of_the_answer_is_a_sign_of_life(upstream, wire, sign):
    upstream.script(raw(*[part for _ in range(6) for part in (events(sign), 0.15)], events(*wire.stream)))

    assert (await run(wire.plan(upstream, first_token_s=0.5, chunk_s=0.5))).output == "Hello"


@BOTH
async def test_a_refusal_is_the_answer(upstream, streaming):
    part = {"type": "refusal", "refusal": "Hello"}
    whole = {**RESPONSE, "output": [{**ITEM, "content": [part]}]}
    streamed = events(
        part_event("response.refusal.delta", delta="Hel"),
        part_event("response.refusal.done", refusal="Hello"),
        {"type": "response.completed", "response": whole},
    )
    upstream.script(raw(streamed) if streaming else body(whole))

    assert (await run(RESPONSES.plan(upstream), streaming=streaming)).output == "Hello"


CALL = {"type": "function_call", "id": "fc1", "call_id": "c1", "name": "look", "arguments": '{"word": "cat"}'}
CALLS = {
    "in pieces": [
        {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"word": '},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '"cat"}'},
        {"type": "response.output_item.done", "output_index": 0, "item": CALL},
        {"type": "response.completed", "response": {**RESPONSE, "output": [CALL]}},
    ],
    "at its end": [
        {"type": "response.output_item.done", "output_index": 0, "item": CALL},
        RESPONSES.stream[-1],
    ],
    "in the last event": [{"type": "response.completed", "response": {**RESPONSE, "output": [CALL]}}],
}


@pytest.mark.parametrize("form", CALLS)
async def test_a_call_of_a_tool_is_read_once(upstream, form):
    upstream.script(raw(events(*CALLS[form])))

    ran = await run(RESPONSES.plan(upstream, parser="message"))

    (call,) = ran.output.tool_calls
    assert (call["name"], call["args"], call["id"]) == ("look", {"word": "cat"}, "c1")


# --- Failures ----------------------------------------------------------------------------------


@EVERY
async def test_an_answer_that_is_cut_is_no_success(upstream, wire):
    upstream.script(raw(events(*wire.stream[:4])))
    ran = Ran()

    with pytest.raises(errors.ProviderCut):
        await run(wire.plan(upstream), into=ran)

    assert ("".join(ran.chunks), len(upstream.requests)) == ("Hello", 1)


@EVERY
async def test_what_was_thought_is_not_paid_for_again(upstream, wire):
    thought = next(thoughts[0] for which, thoughts in THOUGHTS.values() if which is wire)
    failure = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}
    upstream.script(raw(events(wire.stream[0], thought, failure)))

    with pytest.raises(errors.ProviderFailed):
        await run(wire.plan(upstream, parser="message"))

    assert len(upstream.requests) == 1


@EVERY
@BOTH
async def test_an_error_with_status_200_counts_as_if_it_were_the_status(upstream, wire, streaming):
    failure = {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}
    upstream.script(*[raw(events(failure, named=False)), body(failure), raw(events(failure))])

    with pytest.raises(errors.ProviderRateLimited):
        await run(wire.plan(upstream), streaming=streaming)


@EVERY
@BOTH
async def test_the_text_of_a_body_that_is_cut_is_kept(upstream, wire, streaming):
    whole = json.dumps(wire.whole).encode()
    upstream.script(*[body(whole[: whole.index(b'Hello"') + 3])] * 3)
    ran = Ran()

    with pytest.raises(errors.ProviderCut):
        await run(wire.plan(upstream), streaming=streaming, into=ran)

    assert ran.said == ["Hel"]


# --- Properties --------------------------------------------------------------------------------

ODD = [
    b"data: null\n\n",
    b"data:\n\n",
    b": comment\n\n",
    b"data: words\n\n",
    b'data: {"type": "ping"}\n\n',
    b'data: {"type": "unknown", "text": "x"}\n\n',
    b'data: {"type": 3, "delta": [], "message": "queued"}\n\n',
    b'data: {"type": "content_block_delta", "delta": {"type": "x", "text": 3}}\n\n',
    b'data: {"type": "response.output_text.delta", "delta": 3}\n\n',
    b"data: [1]\n\n",
]


def read(wire: Wire, data: bytes, dice: random.Random) -> tuple[str, str] | Exception:
    reader, pieces = AnswerReader(wire.reads(Tidy(splits_thinking=True))), []
    while data and not reader.fault and not reader.is_over:
        size = dice.choice([1, 3, 50, 4000])
        pieces += reader.add(data[:size])
        data = data[size:]
    pieces += [] if reader.fault else reader.finish()
    if reader.fault:
        return reader.fault
    return "".join(piece.text for piece in pieces), pieces[-1].end.finish_reason


@EVERY
def test_odd_events_anywhere_change_nothing(wire):
    for seed in range(300):
        dice = random.Random(seed)
        stream: list[Any] = list(wire.stream)
        for _ in range(dice.randint(1, 6)):
            stream.insert(dice.randint(0, len(stream)), dice.choice(ODD))
        data = events(*stream, named=dice.random() < 0.5, end=dice.choice([b"\n", b"\r\n", b"\r"]))

        assert read(wire, data, dice) == ("Hello", "stop"), (seed, data)


@EVERY
def test_what_is_cut_before_its_end_is_no_success(wire):
    for seed in range(300):
        dice = random.Random(seed)
        before = events(*wire.stream[: -wire.closing])

        assert isinstance(read(wire, before[: dice.randint(0, len(before))], dice), Exception), seed
