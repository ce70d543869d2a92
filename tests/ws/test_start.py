"""What a start frame may carry, and chains in code over a socket."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import AsyncClient

from chainhub.asgi import application
from chains.models import Run
from chains.runtime.registry import register
from tests.compat.runnables import RUNNABLES
from tests.conftest import add_chain, add_prompt, step
from tests.ws.conftest import kinds, session_cookie

CATS = {"topic": "cats"}


@pytest.fixture
async def cookie(shared_db, alice) -> str:
    return await sync_to_async(session_cookie)(alice)


@pytest.fixture
async def tuned(shared_db, demo) -> None:
    """Its callers choose how many words it says at most."""

    def add() -> None:
        add_prompt("joke")
        option = {"field": "prompt", "name": "tone", "step": "answer", "choices": {"formal": {"slug": "sir"}}}
        add_prompt("sir", "Sir: {topic}")
        add_chain("joke", step(), configurable=[option])

    await sync_to_async(add)()


async def opened(cookie: str, slug: str = "joke") -> WebsocketCommunicator:
    headers = [(b"origin", settings.ALLOWED_ORIGINS[0].encode()), (b"cookie", cookie.encode())]
    socket = WebsocketCommunicator(application, f"/ws/chains/{slug}/", headers)
    await socket.connect(timeout=5)
    return socket


async def said(cookie: str, slug: str = "joke", **frame: Any) -> list[dict]:
    """All that is answered to one start, up to its end."""
    socket = await opened(cookie, slug)
    await socket.send_json_to({"type": "start", **frame})
    messages = [message async for message in until_the_end(socket)]
    await socket.disconnect()
    return messages


async def until_the_end(socket: WebsocketCommunicator) -> AsyncIterator[dict]:
    while True:
        message = await socket.receive_json_from(timeout=5)
        yield message
        if message["type"] in ("finished", "failed", "error"):
            return


async def sign_out(alice, cookie: str) -> None:
    browser = AsyncClient()
    browser.cookies.load(cookie)
    assert (await browser.post("/account/sign-out/")).status_code == 302


async def lose_password(alice, cookie: str) -> None:
    alice.set_password("another pass phrase")
    await alice.asave()


async def be_locked_out(alice, cookie: str) -> None:
    alice.is_active = False
    await alice.asave()


async def leave(alice, cookie: str) -> None:
    await alice.adelete()


async def lose_the_session(alice, cookie: str) -> None:
    await (await Session.objects.aget(pk=cookie.partition("=")[2])).adelete()


@pytest.mark.parametrize("end", [sign_out, lose_password, be_locked_out, leave, lose_the_session])
async def test_a_session_that_ends_here_ends_here_at_once(cookie, alice, end):
    socket = await opened(cookie)
    await socket.send_json_to({"type": "ping"})
    assert await socket.receive_json_from(timeout=5) == {"type": "pong"}

    await end(alice, cookie)
    await socket.send_json_to({"type": "ping"})

    assert await socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 4401}


async def test_a_config_is_applied_and_recorded(cookie, tuned):
    config = {"configurable": {"tone": "formal", "api_key": "CANARY"}, "run_name": "CANARY"}

    *_, finished = await said(cookie, input=CATS, config=config)

    assert finished["output"] == "Sir: cats"
    assert (await Run.objects.aget()).config == {"configurable": {"tone": "formal"}}


@pytest.mark.parametrize("config", [None, {}, {"tags": 3, "unknown": 1}])
async def test_a_config_that_says_nothing_changes_nothing(cookie, tuned, config):
    *_, finished = await said(cookie, input=CATS, config=config)

    assert finished["output"] == "cats"


@pytest.mark.parametrize(
    ("config", "loc"),
    [
        (3, ["config"]),
        ([], ["config"]),
        ({"configurable": {"tone": "rude"}}, ["configurable", "tone"]),
        ({"configurable": 3}, ["configurable"]),
        ({"run_id": "x"}, ["run_id"]),
    ],
)
async def test_a_config_that_is_wrong_is_refused_by_its_place(cookie, tuned, config, loc):
    (error,) = await said(cookie, input=CATS, config=config)

    assert (error["type"], error["code"]) == ("error", "invalid_input")
    assert [fault["loc"] for fault in error["errors"]] == [loc]
    assert not await Run.objects.aexists()


async def test_a_chain_in_code_runs_over_a_socket(cookie, registry):
    register("any", RUNNABLES["text"])

    messages = await said(cookie, "any", input={"topic": "hello brave world"})

    started, *chunks, finished = messages
    assert set(kinds(chunks)) == {"chunk"}
    assert "".join(chunk["value"] for chunk in chunks) == finished["output"] == "hello brave world"
    assert (started["version"], started["package"], started["prompts"]) == (None, "tests", {})
    assert (await Run.objects.aget()).source == "ws"


def fail(value: str) -> str:
    raise LookupError("CANARY")


@pytest.mark.parametrize("runnable", [fail, lambda value: {value}], ids=["exception", "no JSON"])
async def test_code_that_fails_is_a_safe_end(cookie, registry, runnable):
    register("odd", runnable)

    *_, failed = await said(cookie, "odd", input="x")

    assert (failed["type"], failed["status"], failed["code"]) == ("failed", "failed", "internal_error")
    assert "CANARY" not in str(failed)


async def test_input_that_does_not_fit_the_code_is_refused_by_its_place(cookie, registry):
    register("any", RUNNABLES["text"])

    (error,) = await said(cookie, "any", input={"topic": 3})

    assert [fault["loc"] for fault in error["errors"]] == [["topic"]]
