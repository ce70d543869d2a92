"""Models that are served by ``/responses``: the real SDK over HTTP. The status tells how a response ends."""

import json
from typing import Any

import pytest

from chains.runtime import errors
from tests.runtime.helpers import BOTH, Ran, plan, run, step, target
from tests.upstream import Behaviour, body, depends, raw

USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def response(text: str, status: str, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    output = [{"id": "m1", "type": "message", "role": "assistant", "status": status, "content": [part]}]
    base = {"id": "r", "object": "response", "created_at": 1, "model": "m", "parallel_tool_calls": True}
    return {
        **base,
        "status": status,
        "output": output,
        "usage": USAGE,
        "tools": [],
        "tool_choice": "auto",
        **fields,
    }


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 1, **fields})}\n\n".encode()


def says(text: str, last: str, status: str, *, is_cut: bool = False, **fields: Any) -> Behaviour:
    """The response, streamed or whole; without its last event where it is cut."""
    whole = response(text, status, **fields)
    place = {"output_index": 0, "content_index": 0, "item_id": "m1"}
    begun = event("response.created", response=response("", "in_progress", usage=None))
    streamed = begun + event("response.output_text.delta", delta=text, logprobs=[], **place)
    end = b"" if is_cut else event(last, response=whole)
    return depends(lambda sent: raw(streamed + end) if sent.get("stream") else body(whole))


def one(upstream):
    return plan(step(target(upstream, habits={"api": "responses"})))


@pytest.mark.parametrize(
    ("last", "status", "fields", "reason"),
    [
        ("response.completed", "completed", {}, "stop"),
        (
            "response.incomplete",
            "incomplete",
            {"incomplete_details": {"reason": "max_output_tokens"}},
            "length",
        ),
        (
            "response.incomplete",
            "incomplete",
            {"incomplete_details": {"reason": "content_filter"}},
            "content_filter",
        ),
    ],
)
@BOTH
async def test_the_end_of_a_response_is_told_as_a_finish_reason(
    upstream, last, status, fields, reason, streaming
):
    upstream.script(says("Hello", last, status, **fields))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason, ran.calls[0].usage.output_tokens) == ("Hello", reason, 2)


async def test_a_response_that_is_cut_is_no_success(upstream):
    upstream.script(says("Hel", "", "completed", is_cut=True))
    ran = Ran()

    with pytest.raises(errors.ProviderCut):
        await run(one(upstream), into=ran)

    assert ("".join(ran.chunks), len(upstream.requests)) == ("Hel", 1)


@BOTH
async def test_a_response_that_failed_is_a_failure(upstream, streaming):
    error = {"code": "server_error", "message": "boom"}
    upstream.script(*[says("Hel", "response.failed", "failed", error=error)] * 3)
    ran = Ran()

    with pytest.raises(errors.ProviderFailed):
        await run(one(upstream), streaming=streaming, into=ran)

    assert ran.calls[0].tries[-1].told.message == "boom"
