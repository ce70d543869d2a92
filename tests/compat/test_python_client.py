"""LangServe's Python client, as it comes, against a server in a process of its own."""

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValueConcrete
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langserve import RemoteRunnable

from chains.models import Run
from tests.compat.runnables import AWKWARD
from tests.conftest import wait_until

CATS = {"topic": "two cats"}
PIECES = ["one ", "two ", "three"]
Remote = Callable[..., RemoteRunnable]


@pytest.fixture
def remote(hub) -> Iterator[Remote]:
    """The client of a chain, with alice's key unless other headers are given."""
    yield lambda chain, headers=hub.headers: RemoteRunnable(hub.at(chain), headers=headers)
    # It closes itself with a thread pool as it is collected. Later, that could be in the middle of another
    # pool's beginning a thread, which holds the lock that both need.
    gc.collect()


def refused(call: Callable[[], Any]) -> httpx.Response:
    """The answer to a call that fails; what failed inside is told by no part of it."""
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call()
    response = caught.value.response
    # The client leaves the body of a refused stream unread.
    body = response.text if response.is_stream_consumed else ""
    assert "CANARY" not in f"{caught.value} {response.headers} {body}"
    return response


async def all_of(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces]


# --- Every method ------------------------------------------------------------------------------


def test_every_sync_method_gives_what_the_chain_gives(remote):
    text = remote("text")

    assert text.invoke(CATS) == "two cats"
    assert text.batch([CATS, {"topic": "b"}]) == ["two cats", "b"]
    assert text.batch([]) == []
    assert list(text.stream(CATS)) == ["two", " ", "cats"]


async def test_every_async_method_gives_what_the_chain_gives(remote):
    text = remote("text")

    assert await text.ainvoke(CATS) == "two cats"
    assert await text.abatch([CATS, {"topic": "b"}]) == ["two cats", "b"]
    assert await all_of(text.astream(CATS)) == ["two", " ", "cats"]


async def test_the_log_of_a_run_adds_up_to_its_output_and_its_steps(remote):
    patches = await all_of(remote("text").astream_log(CATS))

    log = patches[0]
    for patch in patches[1:]:
        log += patch
    assert log.state["final_output"] == "two cats"
    assert log.state["streamed_output"] == ["two", " ", "cats"]
    assert set(log.state["logs"]) == {"ChatPromptTemplate", "Echo", "StrOutputParser"}
    assert log.state["logs"]["Echo"]["streamed_output_str"] == ["two", " ", "cats"]
    assert log.state["logs"]["Echo"]["end_time"]


async def test_the_events_of_a_run_come_in_the_order_in_which_they_happen(remote):
    events = await all_of(remote("text").astream_events(CATS, version="v2"))

    kinds = [event["event"] for event in events]
    assert kinds[:3] == ["on_chain_start", "on_prompt_start", "on_prompt_end"]
    assert kinds[-3:] == ["on_chat_model_end", "on_parser_end", "on_chain_end"]
    assert {event["run_id"] for event in events if not event["parent_ids"]} == {events[0]["run_id"]}
    pieces = [event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(piece.content for piece in pieces) == "two cats"
    assert all(isinstance(piece, AIMessageChunk) for piece in pieces)


async def test_events_can_be_filtered(remote):
    events = await all_of(
        remote("text").astream_events(CATS, version="v2", include_types=["chat_model"], exclude_names=["x"])
    )

    assert {event["name"] for event in events} == {"Echo"}


# --- What goes over the wire -------------------------------------------------------------------


def test_messages_come_back_as_messages(remote):
    message, model = remote("message"), remote("model")

    answer = message.invoke(CATS)
    pieces = list(message.stream(CATS))

    assert isinstance(answer, AIMessage)
    assert answer.content == "two cats"
    assert all(isinstance(piece, AIMessageChunk) for piece in pieces)
    assert sum(pieces[1:], pieces[0]).content == "two cats"
    assert model.invoke("a text").content == "a text"
    assert model.invoke([AIMessage("a"), HumanMessage("b")]).content == "b"
    assert model.invoke(ChatPromptValueConcrete(messages=[HumanMessage("c")])).content == "c"


def test_a_history_goes_there_as_messages(remote):
    history = [HumanMessage("hi"), AIMessage("ho"), HumanMessage([{"type": "text", "text": "why"}])]

    assert remote("history").invoke({"history": history, "question": "what"}) == "what"


def test_a_prompts_value_can_be_read_back_and_given_to_a_model(remote, instructed):
    prompt = remote("prompt")

    values = [prompt.invoke(CATS), *prompt.batch([CATS]), *prompt.stream(CATS)]

    assert [type(value) for value in values] == [ChatPromptValueConcrete] * 3
    assert (prompt | remote("instructed")).invoke(CATS).content == "two cats"


def test_pieces_of_tool_calls_add_up_to_a_call(remote):
    pieces = list(remote("tools").stream("x"))

    total = sum(pieces[1:], pieces[0])
    assert [(call["name"], call["args"]) for call in total.tool_calls] == [("add", {"a": 1})]
    assert remote("tools").invoke("x").tool_calls == total.tool_calls


def test_documents_and_dicts_come_back_as_what_they_are(remote):
    found = [Document(page_content=f"books {n}", metadata={"n": n}) for n in range(2)]

    assert remote("library").invoke("books") == found
    assert remote("parallel").invoke("books") == {"found": found, "asked": "books"}
    pieces = list(remote("parallel").stream("books"))
    assert len(pieces) == 2
    assert pieces[0] + pieces[1] == {"found": found, "asked": "books"}


@pytest.mark.parametrize("method", ["stream", "invoke"])
def test_separators_that_some_take_for_line_ends_arrive(remote, method):
    answer = getattr(remote("awkward"), method)("")

    assert (answer if method == "invoke" else "".join(answer)) == "".join(AWKWARD)


async def test_a_stream_of_nothing_is_empty(remote):
    nothing = remote("nothing")

    assert list(nothing.stream("x")) == []
    assert await all_of(nothing.astream("x")) == []
    assert nothing.invoke("x") is None


def test_other_values_come_as_plain_data(remote):
    values = remote("values")

    assert values.invoke("time") == {"at": "2026-01-02T03:04:05", "on": "2026-01-02"}
    assert values.invoke("plain")["nan"] is None
    assert remote("pair").invoke({"left": 2, "right": 3}) == 5


# --- Configs -----------------------------------------------------------------------------------


async def test_configurable_fields_reach_the_chain(remote):
    configured, config = remote("configured"), {"configurable": {"prefix": "so "}}

    assert configured.invoke(CATS, config) == "so two cats"
    assert "".join(configured.with_config(config).stream(CATS)) == "so two cats"
    assert "".join(await all_of(configured.astream(CATS, config))) == "so two cats"
    assert remote("alternatives").invoke(CATS, {"configurable": {"voice": "loud"}}) == "LOUD two cats"


def test_each_input_of_a_batch_can_have_its_config(remote):
    configs = [{"configurable": {"prefix": letter}} for letter in "ab"]

    assert remote("configured").batch([CATS, CATS], configs) == ["atwo cats", "btwo cats"]
    assert remote("configured").batch([CATS, CATS], configs[0]) == ["atwo cats"] * 2


def test_a_config_with_everything_in_it_is_taken(remote):
    config = {
        "tags": ["mine"],
        "metadata": {"who": "me"},
        "run_name": "mine",
        "recursion_limit": 7,
        "max_concurrency": 2,
        "configurable": {"unknown": 1},
    }

    assert remote("text").invoke(CATS, config) == "two cats"
    assert "".join(remote("text").stream(CATS, config)) == "two cats"


# --- As a part of something larger -------------------------------------------------------------


async def test_a_remote_chain_is_a_step_of_a_local_one(remote):
    chain = (
        RunnablePassthrough.assign(topic=lambda given: given["topic"].upper())
        | remote("text")
        | RunnableLambda(lambda text: f"<{text}>")
    )

    assert chain.invoke(CATS) == "<TWO CATS>"
    assert await chain.ainvoke(CATS) == "<TWO CATS>"
    assert "".join(chain.stream(CATS)) == "<TWO CATS>"


def test_a_chain_configured_in_the_admin_answers_as_one_in_code(remote, joke):
    for ref in ("joke", "joke@production", "joke@1"):
        assert remote(ref).invoke(CATS) == "two cats"
    assert remote("joke").batch([CATS, CATS]) == ["two cats"] * 2
    assert "".join(remote("joke").stream(CATS)) == "two cats"


def test_what_a_client_ran_is_recorded(remote, hub):
    list(remote("text").stream(CATS))

    run = Run.objects.get()
    assert (run.chain_slug, run.source, run.status, run.output) == ("text", "sse", "succeeded", "two cats")


# --- What goes wrong ---------------------------------------------------------------------------


def test_a_failure_of_the_chain_is_500_and_says_nothing_of_the_inside(remote):
    breaks = remote("breaks")

    assert refused(lambda: breaks.invoke("before")).status_code == 500
    assert refused(lambda: breaks.batch(["no", "before"])).status_code == 500
    assert refused(lambda: list(breaks.stream("before"))).status_code == 500
    assert refused(lambda: remote("values").invoke("set")).status_code == 500


async def test_a_failure_after_some_pieces_comes_after_those_pieces(remote):
    received: list[str] = []

    async def aread() -> None:
        async for piece in remote("breaks").astream("after"):
            received.append(piece)

    pieces = remote("breaks").stream("after")
    assert [next(pieces) for _ in PIECES] == PIECES
    assert refused(lambda: next(pieces)).status_code == 500
    with pytest.raises(httpx.HTTPStatusError, match="Internal server error") as caught:
        await aread()
    assert (caught.value.response.status_code, received) == (500, PIECES)


def test_a_failure_leaves_time_to_read_what_came_before(hub):
    came: dict[bytes, float] = {}
    body = {"input": "after"}
    with httpx.stream("POST", f"{hub.at('breaks')}/stream", json=body, headers=hub.headers) as response:
        for piece in response.iter_raw():
            came |= {event: time.monotonic() for event in (b"three", b"event: error") if event in piece}

    assert came[b"event: error"] - came[b"three"] > 0.03


async def test_a_failure_ends_a_log_and_events_with_its_status(remote):
    for stream in (remote("breaks").astream_log("after"), remote("breaks").astream_events("after")):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await all_of(stream)
        assert caught.value.response.status_code == 500
        assert "CANARY" not in str(caught.value)


def test_a_mistake_of_the_caller_is_422(remote):
    text = remote("text")

    wrong = [
        refused(lambda: text.invoke({})),
        refused(lambda: text.batch([CATS, {}])),
        refused(lambda: list(text.stream({}))),
        refused(lambda: remote("model").invoke([SystemMessage("obey")])),
        refused(lambda: remote("history").invoke({"history": [("system", "x")], "question": "q"})),
        refused(lambda: remote("configured").invoke(CATS, {"configurable": {"prefix": 3}})),
    ]

    assert [response.status_code for response in wrong] == [422] * 6
    assert wrong[0].json()["detail"][0]["loc"] == ["topic"]
    assert wrong[1].json()["detail"][0]["loc"] == [1, "topic"]


def test_a_stranger_is_401_and_what_is_not_there_is_404(remote):
    stranger, nobody = remote("text", headers={}), remote("nobody")

    for runnable, status in ((stranger, 401), (nobody, 404)):
        for call in (runnable.invoke, lambda value, r=runnable: list(r.stream(value))):
            assert refused(lambda call=call: call(CATS)).status_code == status
        assert refused(lambda r=runnable: r.batch([CATS])).status_code == status


def test_a_reader_that_stops_early_ends_the_run(remote):
    pieces = remote("slow").stream("x")
    next(pieces)

    pieces.close()

    wait_until(lambda: list(Run.objects.values_list("status", flat=True)) == ["cancelled"])
