"""The embedded demo model, run as a chain runs it."""

import asyncio
import json
import time

import pytest
from jsonschema import validate

from chains.runtime import errors
from chains.runtime.providers.demo import FAILURES, smallest_instance
from tests.runtime.helpers import Ran, plan, run, step, target

pytestmark = pytest.mark.filterwarnings("error")


def demo_plan(model: str = "demo-echo", run_timeout_s: float = 10, **data):
    extra = {"delay_ms": 0} | data.pop("extra", {})
    return plan(step(target(model=model), extra=extra, **data), run_timeout_s=run_timeout_s)


async def test_the_same_question_has_the_same_answer():
    first, second = [await run(demo_plan("demo-coach"), {"topic": "Run?"}) for _ in range(2)]

    assert first.chunks == second.chunks
    assert 'You said: "Run?"' in first.output


async def test_streaming_and_not_streaming_give_the_same():
    streamed = await run(demo_plan("demo-coach"))
    whole = await run(demo_plan("demo-coach"), streaming=False)

    assert (streamed.output, streamed.calls[0].usage) == (whole.output, whole.calls[0].usage)
    assert len(streamed.chunks) > 50
    assert whole.chunks == []


@pytest.mark.parametrize("text", ["cats", "  two  words ", "a\n\nb\t", " ", "\N{PILE OF POO}"])
async def test_the_echo_repeats_every_character(text):
    ran = await run(demo_plan(), {"topic": text})

    assert ran.output == "".join(ran.chunks) == text


async def test_tokens_are_words():
    ran = await run(demo_plan(extra={"reply": "one two three"}), {"topic": "four words of mine"})

    usage = ran.calls[0].usage
    assert (usage.input_tokens, usage.output_tokens, ran.finish_reason) == (4, 3, "stop")


async def test_an_empty_reply_is_no_answer():
    with pytest.raises(errors.AnswerEmpty):
        await run(demo_plan(extra={"reply": ""}))


async def test_the_number_of_words_may_be_chosen():
    ran = await run(demo_plan(extra={"reply": "a b", "words": 5}))

    assert ran.output == "a ba ba"


async def test_max_tokens_cut_the_answer_and_say_so():
    ran = await run(demo_plan(max_tokens=2, extra={"reply": "a b c"}))

    assert (ran.output, ran.finish_reason, ran.calls[0].usage.output_tokens) == ("a b", "length", 2)


async def test_a_delay_passes_before_each_word():
    began = time.monotonic()
    await run(demo_plan(extra={"reply": "a b c d e", "delay_ms": 20}))

    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("failure", FAILURES)
async def test_it_fails_as_told(failure, streaming):
    # After a word, so that nothing is tried again.
    failing = demo_plan(extra={"reply": "a b c", "fail": failure, "fail_after": 1}, run_timeout_s=0.4)
    ran = Ran()

    with pytest.raises(FAILURES[failure]):
        await run(failing, streaming=streaming, into=ran)

    assert ran.chunks == (["a"] if streaming else [])


async def test_it_fails_after_the_last_word_too():
    with pytest.raises(errors.ProviderCut):
        await run(demo_plan(extra={"reply": "a b", "fail": "cut", "fail_after": 2}))


async def test_silence_lasts_until_a_limit():
    silent = step(target(first_token_s=0.1), extra={"delay_ms": 0, "fail": "silent"})

    with pytest.raises(errors.ProviderTimeout):
        await run(plan(silent))


async def test_a_silent_run_can_be_cancelled():
    running = asyncio.create_task(run(demo_plan(extra={"fail": "silent"})))
    await asyncio.sleep(0.05)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    "extra",
    [
        {"delay_ms": -1},
        {"delay_ms": 60_001},
        {"words": 100_001},
        {"words": -1},
        {"fail": "explode"},
        {"fail_after": -1},
        {"reply": 3},
        {"unknown": 1},
    ],
)
async def test_a_wrong_parameter_is_a_fault_of_the_configuration(extra):
    with pytest.raises(errors.InvalidSpec):
        await run(demo_plan(extra=extra))


SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]},
    {"type": "object", "properties": {"n": {"type": "number", "minimum": 3}, "x": {"type": "null"}}},
    {"type": "object", "properties": {"l": {"type": "array", "minItems": 2, "items": {"type": "boolean"}}}},
    {"type": "object", "properties": {"l": {"type": "array", "minItems": 1}}},
    {"type": "object", "properties": {"e": {"enum": ["x", 1]}, "c": {"const": [1]}, "d": {"default": 7}}},
    {"type": "object", "properties": {"u": {"type": ["string", "null"]}, "o": {"type": "object"}}},
]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_a_schema_gets_an_instance_of_it(schema):
    ran = await run(demo_plan(parser={"kind": "schema", "json_schema": schema}))

    validate(ran.output, schema)
    assert ran.output == json.loads(json.dumps(ran.output))


def test_an_instance_stays_small():
    assert len(smallest_instance({"type": "array", "minItems": 10**9})) <= 100
