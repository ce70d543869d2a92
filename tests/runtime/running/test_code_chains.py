"""Chains in code as they run: answers, figures and faults."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chains.runtime import errors
from tests.runtime.helpers import KEY, Ran, code, run
from tests.upstream import HELLO, answers, cut, fails, rate_limited, silent

pytestmark = pytest.mark.usefixtures("registry")

BOTH = pytest.mark.parametrize("mode", ["whole", "stream"])
EVERY = pytest.mark.parametrize("mode", ["whole", "stream", "events", "log"])


def gives(*pieces: Any) -> Runnable:
    """Streams these, whatever it is asked."""

    async def pieces_of(values: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for _ in values:
            pass
        for piece in pieces:
            yield piece

    return RunnableGenerator(pieces_of)


def model(upstream: Any, **options: Any) -> ChatOpenAI:
    """As anybody would write it in a chain of their own."""
    return ChatOpenAI(
        model="test-model",
        base_url=upstream.base_url,
        api_key=SecretStr(KEY),
        max_retries=0,
        stream_usage=True,
        **options,
    )


def over_http(upstream: Any) -> Runnable:
    return ChatPromptTemplate.from_template("About {topic}") | model(upstream) | StrOutputParser()


# --- Answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "output"),
    [
        (["a", "", "b"], "ab"),
        ([], None),
        ([None], None),
        ([None, "a"], "a"),
        ([1, 2], 3),
        ([[1], [2]], [1, 2]),
        ([{"a": 1}, {"b": 2}], {"b": 2}),
        ([AIMessageChunk("a", id="m"), AIMessageChunk("b", id="m")], AIMessage("ab", id="m")),
    ],
)
async def test_the_pieces_of_a_stream_add_up_to_the_output(pieces, output):
    ran = await run(code(gives(*pieces)), "x")

    assert len(ran.chunks) == len(pieces)
    assert (type(ran.output), ran.output) == (type(output), output)


@EVERY
async def test_each_mode_gives_the_same_output(mode):
    chain = ChatPromptTemplate.from_template("{topic}") | RunnableLambda(lambda p: p.to_string())

    assert (await run(code(chain), mode=mode)).output == "Human: cats"


@EVERY
@pytest.mark.parametrize("inner", [{1: "a"}, {"a": {1, 2}}, b"\xff", object(), {("a",): object()}])
async def test_what_happens_inside_needs_no_json_form(inner, mode):
    chain = RunnableLambda(lambda _: inner) | RunnableLambda(lambda _: "fine")

    assert (await run(code(chain), "x", mode=mode)).output == "fine"


@pytest.mark.parametrize("mode", ["stream", "events", "log"])
@pytest.mark.parametrize(
    "piece", [{1, 2}, b"\xff", object(), {1: "a"}], ids=["set", "bytes", "object", "key"]
)
async def test_a_piece_without_a_json_form_ends_the_run(piece, mode):
    with pytest.raises(TypeError, match="no JSON form"):
        await asyncio.wait_for(run(code(gives("a", piece, "b")), "x", mode=mode), 2)


@BOTH
async def test_synchronous_code_runs_beside_the_loop(mode):
    threads = []

    def note(value: str) -> str:
        threads.append(threading.current_thread())
        return value

    await run(code(note), "x", mode=mode)

    assert threads[0] is not threading.current_thread()


# --- Figures -----------------------------------------------------------------------------------


@BOTH
async def test_a_models_usage_and_finish_reason_are_noted(upstream, mode):
    ran = await run(code(over_http(upstream)), mode=mode)

    (call,) = ran.calls
    assert ran.output == HELLO
    assert (call.provider, call.model, call.finish_reason) == ("openai", "test-model", "stop")
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens) == (2, 3)
    assert ran.finish_reason == "stop"


@BOTH
async def test_models_that_code_calls_itself_are_noted_too(upstream, mode):
    upstream.script(answers("one"), answers("two"))

    def ask(topic: str) -> Any:
        return model(upstream).invoke(topic).text

    async def ask_later(topic: str) -> Any:
        return (await model(upstream).ainvoke(topic)).text

    ran = await run(code(RunnableLambda(ask) | RunnableLambda(ask_later)), "x", mode=mode)

    assert ran.output == "two"
    assert [call.usage.output_tokens if call.usage else None for call in ran.calls] == [1, 1]


async def test_a_model_that_says_nothing_of_its_usage_is_noted_without():
    ran = await run(code(GenericFakeChatModel(messages=iter([AIMessage("hi")]))), "x", mode="whole")

    (call,) = ran.calls
    assert (call.usage, call.finish_reason, call.cost_usd) == (None, "", None)


async def test_handlers_that_the_config_has_already_are_kept(upstream):
    own = UsageMetadataCallbackHandler()

    ran = await run(code(over_http(upstream)), config={"callbacks": [own]})

    assert own.usage_metadata["test-model"]["output_tokens"] == 3
    assert len(ran.calls) == 1


async def test_runs_at_the_same_time_note_their_own_calls(upstream):
    upstream.script(*[answers(lambda body: body["messages"][0]["content"])] * 4)
    plan = code(over_http(upstream))

    runs = await asyncio.gather(*(run(plan, {"topic": "x " * n}) for n in range(4)))

    assert [len(ran.calls) for ran in runs] == [1] * 4
    assert len({ran.calls[0].usage for ran in runs}) == 4


# --- Faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (fails(401, "Wrong key {key}"), errors.ProviderAuthFailed),
        (fails(404), errors.ProviderRefused),
        (fails(400, code="context_length_exceeded"), errors.ContextTooLong),
        (rate_limited(), errors.ProviderRateLimited),
        (fails(500), errors.ProviderFailed),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
@BOTH
async def test_what_the_openai_sdk_raises_is_the_providers_fault(upstream, behaviour, error, mode):
    upstream.script(behaviour)

    with pytest.raises(error) as raised:
        await run(code(over_http(upstream)), mode=mode)

    assert type(raised.value) is error
    assert KEY not in str(raised.value)


async def test_a_provider_that_cannot_be_reached_is_told_as_such(upstream):
    plan = code(over_http(upstream))
    upstream.stop()

    with pytest.raises(errors.ProviderUnreachable):
        await run(plan)


async def test_an_answer_that_is_cut_is_the_providers_fault(upstream):
    upstream.script(cut(after_chunks=1))
    ran = Ran()

    with pytest.raises(errors.ProviderError):
        await run(code(over_http(upstream)), into=ran)

    assert ran.chunks[:2] == ["", "Hello"]


async def test_a_limit_of_the_sdks_own_is_the_providers_fault(upstream):
    upstream.script(silent())
    chain = ChatPromptTemplate.from_template("{topic}") | model(upstream, timeout=0.05)

    with pytest.raises(errors.ProviderTimeout):
        await run(code(chain))


@BOTH
async def test_any_other_exception_passes_through(mode):
    def fail(value: str) -> str:
        raise LookupError("CANARY")

    with pytest.raises(LookupError):
        await run(code(fail), "x", mode=mode)


async def test_an_output_that_does_not_fit_its_parser_is_told_as_such():
    with pytest.raises(errors.OutputInvalid):
        await run(
            code(RunnableLambda(lambda _: AIMessage("no json")) | JsonOutputParser()), "x", mode="whole"
        )


async def test_a_timeout_of_the_codes_own_is_not_the_runs():
    async def impatient(value: str) -> None:
        await asyncio.wait_for(asyncio.sleep(5), 0.01)

    with pytest.raises(TimeoutError) as raised:
        await run(code(impatient), "x")

    assert not isinstance(raised.value, errors.RunTimeout)


@EVERY
async def test_a_run_ends_at_its_time_limit(mode):
    async def forever(value: str) -> None:
        await asyncio.sleep(30)

    began = time.monotonic()

    with pytest.raises(errors.RunTimeout):
        await run(code(forever, timeout_s=0.05), "x", mode=mode)

    assert time.monotonic() - began < 1


@EVERY
async def test_cancelling_reaches_the_code(mode):
    told: list[str] = []
    began = asyncio.Event()

    async def forever(value: str) -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    task = asyncio.create_task(run(code(forever), "x", mode=mode))
    await began.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["cancelled"]


@EVERY
async def test_cancelling_hangs_up_on_the_provider(upstream, mode):
    upstream.script(silent())
    task = asyncio.create_task(run(code(over_http(upstream)), mode=mode))
    await upstream.wait_for_async(lambda: len(upstream.requests) == 1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await upstream.wait_for_async(lambda: upstream.disconnects == 1)
