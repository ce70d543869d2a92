"""Chains with steps of the kind ``text`` over the API."""

import json

import pytest

from chains.models import Chain, Provider, Run
from tests.api.conftest import fields_at_fault, frames, is_error, sent
from tests.api.test_inner_steps import documents, events
from tests.conftest import add_chain, add_prompt, step

LETTER = {"kind": "text", "name": "letter", "template": "Dear {name}, {{…}}"}
REPLY = "Dear Ada, {…}"
ADA = {"name": "Ada"}


@pytest.fixture
def letter(shared_db) -> Chain:
    """A chain of one text, where there is no provider at all."""
    Provider.objects.all().delete()
    chain = add_chain("letter", LETTER)
    Chain.objects.update(expose_steps=True)
    return chain


@pytest.fixture
def joke_in_a_letter(shared_db, demo) -> Chain:
    """A text before a model call, and one after it."""
    add_prompt("joke", "About {who}")
    first = {"kind": "text", "name": "who", "template": "the {topic}"}
    last = {"kind": "text", "name": "letter", "template": "Dear {name}: {answer}!"}
    chain = add_chain("joke", first, step(), last)
    Chain.objects.update(expose_steps=True)
    return chain


BOTH_INPUTS = {"topic": "cats", "name": "Ada"}
WHOLE = "Dear Ada: About the cats!"


async def test_a_chain_of_texts_runs_without_a_provider_and_records_no_calls(api, letter):
    response = await api.post("/chains/letter/invoke", {"input": ADA})

    run = await Run.objects.aget()
    assert (response.status_code, response.json()["output"]) == (200, REPLY)
    assert (run.status, run.output, run.calls, run.finish_reason) == ("succeeded", REPLY, [], "")
    assert (run.input_tokens, run.output_tokens, run.cost_usd) == (None, None, None)
    told = (await api.get(f"/api/v1/runs/{run.id}/")).json()
    assert (told["calls"], told["prompt_versions"], told["output"]) == ([], {}, REPLY)


async def test_its_text_is_streamed_in_one_piece(api, letter):
    response = await api.post("/chains/letter/stream", {"input": ADA})

    told = frames(await sent(response))
    assert [json.loads(data) for name, data in told if name == "data"] == [REPLY]
    assert told[-1] == ("end", "")


async def test_a_batch_writes_each_its_own(api, letter):
    response = await api.post("/chains/letter/batch", {"inputs": [ADA, {"name": "Bob"}]})

    assert response.json()["output"] == [REPLY, "Dear Bob, {…}"]


async def test_an_input_that_a_text_asks_for_is_required(api, letter):
    response = await api.post("/chains/letter/invoke", {"input": {}})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["name"]]


async def test_texts_around_a_model_call_are_steps_like_any_other(api, joke_in_a_letter):
    response = await api.post("/chains/joke/invoke", {"input": BOTH_INPUTS})

    run = await Run.objects.aget()
    assert response.json()["output"] == run.output == WHOLE
    assert [call["step"] for call in run.calls] == ["answer"]


async def test_events_tell_of_a_text_as_of_a_chain(api, joke_in_a_letter):
    told = await events(api, "joke", input=BOTH_INPUTS, include_names=["who", "letter"])

    assert [(event["event"], event["name"]) for event in told] == [
        ("on_chain_start", "who"),
        ("on_chain_end", "who"),
        ("on_chain_start", "letter"),
        ("on_chain_end", "letter"),
    ]
    assert [event["data"]["output"] for event in told[1::2]] == ["the cats", WHOLE]
    assert told[0]["data"]["input"] == BOTH_INPUTS
    assert told[0]["tags"] == ["seq:step:1"]


async def test_a_text_alone_is_the_run_in_its_events(api, letter):
    told = await events(api, "letter", input=ADA)

    assert [event["event"] for event in told] == ["on_chain_start", "on_chain_stream", "on_chain_end"]
    assert {event["name"] for event in told} == {"/letter"}
    assert (told[1]["data"], told[2]["data"]["output"]) == ({"chunk": REPLY}, REPLY)


async def test_the_log_holds_texts_among_the_steps(api, joke_in_a_letter):
    *_, last = await documents(api, "joke", BOTH_INPUTS)

    assert last["final_output"] == WHOLE
    assert last["logs"]["letter"]["type"] == "chain"
    assert last["logs"]["who"]["final_output"] == {"output": "the cats"}
