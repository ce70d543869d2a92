"""One chain through every way in: the same text, the same row, the same error code."""

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import AsyncClient, Client
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chainhub.asgi import application
from chains.models import Run
from chains.runtime.registry import register
from tests.api.conftest import frames, sent
from tests.conftest import add_chain, add_prompt, over_http, step
from tests.upstream import answers, cut, error_event, fails, garbage, html, rate_limited

pytestmark = pytest.mark.usefixtures("shared_db")

WAYS = ["invoke", "batch", "stream", "websocket"]


async def post(key: str, slug: str, endpoint: str, body: dict) -> Any:
    return await AsyncClient().post(
        f"/chains/{slug}/{endpoint}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


async def by_invoke(key: str, user: Any, slug: str, value: Any) -> tuple[Any, str]:
    response = await post(key, slug, "invoke", {"input": value})
    body = response.json()
    return body.get("output"), body.get("code", "")


async def by_batch(key: str, user: Any, slug: str, value: Any) -> tuple[Any, str]:
    response = await post(key, slug, "batch", {"inputs": [value]})
    body = response.json()
    return body["output"][0] if "output" in body else None, body.get("code", "")


async def by_stream(key: str, user: Any, slug: str, value: Any) -> tuple[Any, str]:
    response = await post(key, slug, "stream", {"input": value})
    if response.status_code != 200:
        return None, response.json()["code"]
    chunks, code = [], ""
    for event, data in frames(await sent(response)):
        if event == "data":
            chunks.append(json.loads(data))
        elif event == "error":
            code = json.loads(data)["code"]
    return None if code else total(chunks), code


async def by_websocket(key: str, user: Any, slug: str, value: Any) -> tuple[Any, str]:
    communicator = await open_socket(user, slug)
    await communicator.send_json_to({"type": "start", "input": value})
    chunks = []
    while True:
        message = await communicator.receive_json_from(timeout=5)
        if message["type"] == "chunk":
            chunks.append(message["value"])
        if message["type"] in ("finished", "failed", "error"):
            await communicator.disconnect()
            if message["type"] == "finished":
                assert message["output"] == total(chunks)
            return message.get("output"), message.get("code", "")


async def open_socket(user: Any, slug: str) -> WebsocketCommunicator:
    client = Client()
    await sync_to_async(client.force_login)(user)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    headers = [(b"origin", settings.ALLOWED_ORIGINS[0].encode()), (b"cookie", cookie.encode())]
    communicator = WebsocketCommunicator(application, f"/ws/chains/{slug}/", headers)
    connected, _ = await communicator.connect(timeout=5)
    assert connected
    return communicator


def total(chunks: list) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


RUN = {"invoke": by_invoke, "batch": by_batch, "stream": by_stream, "websocket": by_websocket}
SAME = ["chain_slug", "chain_version_number", "prompt_versions", "plan_digest", "user_id", "status"]
SAME += ["input", "output", "error_code", "error_message", "finish_reason", "calls"]
SAME += ["input_tokens", "output_tokens", "cost_usd"]


async def set_up(slug: str, *steps: dict) -> None:
    await sync_to_async(add_prompt)(slug)
    await sync_to_async(add_chain)(slug, *steps)


async def rows() -> list[dict]:
    """The rows, without the times of their calls."""
    found = [row async for row in Run.objects.values(*SAME)]
    for row in found:
        for each in [each for call in row["calls"] for each in call["tries"]]:
            for name in ("started_ms", "ms", "first_ms"):
                del each[name]
    return found


async def run_every_way(alice: Any, key: str, slug: str, value: Any) -> list[tuple[Any, str]]:
    """At the same time: most of a fault's time is spent waiting for the next try."""
    return await asyncio.gather(*(RUN[way](key, alice, slug, value) for way in WAYS))


PARSERS = {
    "text": ({"kind": "text"}, "one two, three", "one two, three"),
    "json": ({"kind": "json"}, '{"a": [1, 2]}', {"a": [1, 2]}),
    "list": ({"kind": "list"}, "red, green, blue", ["red", "green", "blue"]),
    "schema": (
        {
            "kind": "schema",
            "json_schema": {
                "type": "object",
                "properties": {"n": {"type": "integer"}},
                "required": ["n"],
            },
        },
        '{"n": 3}',
        {"n": 3},
    ),
}


@pytest.mark.parametrize("kind", PARSERS)
async def test_the_same_answer_and_the_same_row_come_by_every_way(alice, alice_key, openai, upstream, kind):
    parser, text, expected = PARSERS[kind]
    await set_up("ask", over_http("ask", parser=parser))
    upstream.script(*[answers(text)] * len(WAYS))

    outcomes = await run_every_way(alice, alice_key, "ask", {"topic": "x"})

    assert outcomes == [(expected, "")] * len(WAYS)
    first, *others = await rows()
    assert others == [first] * (len(WAYS) - 1)
    assert (first["status"], first["output"], first["user_id"]) == ("succeeded", expected, alice.pk)
    assert first["input_tokens"] == 1


async def test_a_message_has_the_same_content_by_every_way(alice, alice_key, openai, upstream):
    await set_up("ask", over_http("ask", parser={"kind": "message"}))

    for way in ("invoke", "batch"):
        output, _ = await RUN[way](alice_key, alice, "ask", {"topic": "x"})
        assert (output["type"], output["content"]) == ("ai", "Hello from upstream")

    outputs = {json.dumps(row["output"]["content"]) for row in await rows()}
    assert outputs == {'"Hello from upstream"'}


FAULTS = {
    "provider_auth_failed": fails(401),
    "provider_refused": fails(404),
    "context_too_long": fails(400, code="context_length_exceeded"),
    "provider_failed": fails(500),
    "provider_rate_limited": rate_limited(retry_after="3600"),
    "provider_cut": cut(after_chunks=0),
}


@pytest.mark.parametrize("code", FAULTS)
async def test_the_same_fault_has_the_same_code_and_row_by_every_way(alice, alice_key, poem, upstream, code):
    upstream.script(*[FAULTS[code]] * len(WAYS) * 3)

    outcomes = await run_every_way(alice, alice_key, "poem", {"topic": "x"})

    assert [outcome[1] for outcome in outcomes] == [code] * len(WAYS)
    found = await rows()
    # A whole answer that is cut has a text already, which is kept; the stream has not begun.
    texts = {row.pop("output") for row in found}
    assert texts == {None} or code == "provider_cut"
    if code == "provider_cut":
        for row in found:
            del row["calls"]
    first, *others = found
    assert others == [first] * (len(WAYS) - 1)
    assert (first["status"], first["error_code"]) == ("failed", code)


@pytest.mark.parametrize("fault", [garbage(), html(), garbage('{"foo": 1}'), error_event(after_chunks=0)])
async def test_what_is_no_answer_is_the_providers_fault_by_every_way(alice, alice_key, poem, upstream, fault):
    upstream.script(*[fault] * len(WAYS) * 3)

    outcomes = await run_every_way(alice, alice_key, "poem", {"topic": "x"})

    assert {code.partition("_")[0] for _, code in outcomes} == {"provider"}


async def test_invalid_input_is_refused_alike_and_leaves_no_row(alice, alice_key, joke):
    outcomes = await run_every_way(alice, alice_key, "joke", {"topic": 3})

    assert outcomes == [(None, "invalid_input")] * len(WAYS)
    assert await rows() == []


async def test_a_second_step_sees_what_the_first_one_gave_by_every_way(alice, alice_key, demo):
    await sync_to_async(add_prompt)("outline", "Outline {topic}")
    await sync_to_async(add_prompt)("write", "Write: {outline} about {topic}")
    steps = step("outline", name="outline"), step("write", name="write")
    await sync_to_async(add_chain)("article", *steps)

    outcomes = await run_every_way(alice, alice_key, "article", {"topic": "cats"})

    assert outcomes == [("Write: Outline cats about cats", "")] * len(WAYS)


# --- Chains in code ----------------------------------------------------------------------------


def ask_upstream(upstream: Any) -> Any:
    model = ChatOpenAI(
        model="test-model",
        base_url=upstream.base_url,
        api_key=SecretStr("sk-CANARY"),
        max_retries=0,
        stream_usage=True,
    )
    return ChatPromptTemplate.from_template("{topic}") | model | StrOutputParser()


async def test_code_gives_the_same_answer_and_the_same_row_by_every_way(alice, alice_key, registry, upstream):
    register("ask", ask_upstream(upstream))
    upstream.script(*[answers("one two, three")] * len(WAYS))

    outcomes = await run_every_way(alice, alice_key, "ask", {"topic": "x"})

    assert outcomes == [("one two, three", "")] * len(WAYS)
    first, *others = await rows()
    assert others == [first] * (len(WAYS) - 1)
    assert (first["status"], first["output"], first["chain_version_number"]) == (
        "succeeded",
        "one two, three",
        None,
    )
    assert (first["input_tokens"], first["output_tokens"], first["finish_reason"]) == (1, 3, "stop")


def fail(value: Any) -> str:
    raise LookupError("CANARY")


async def nap(value: Any) -> None:
    await asyncio.sleep(9)


CODE_FAULTS = {
    "internal_error": lambda upstream: fail,
    "run_timeout": lambda upstream: nap,
    "provider_auth_failed": ask_upstream,
}


@pytest.mark.parametrize("code", CODE_FAULTS)
async def test_codes_fault_has_the_same_code_and_row_by_every_way(alice, alice_key, registry, upstream, code):
    upstream.script(*[fails(401)] * len(WAYS))
    register("ask", CODE_FAULTS[code](upstream), timeout_s=0.3 if code == "run_timeout" else 10)

    outcomes = await run_every_way(alice, alice_key, "ask", {"topic": "x"})

    assert outcomes == [(None, code)] * len(WAYS)
    first, *others = await rows()
    assert others == [first] * (len(WAYS) - 1)
    assert (first["status"], first["error_code"]) == ("failed", code)
    assert "CANARY" not in str(first)


async def test_input_that_does_not_fit_code_is_refused_alike_and_leaves_no_row(alice, alice_key, registry):
    register("ask", ChatPromptTemplate.from_template("{topic}"))

    outcomes = await run_every_way(alice, alice_key, "ask", {"topic": 3})

    assert outcomes == [(None, "invalid_input")] * len(WAYS)
    assert await rows() == []
