"""A client's config, in the body or packed into the address."""

import json
import uuid

import pytest
from langserve.lzstring import LZString

from chains.models import Chain, Run
from tests.api.conftest import fields_at_fault, is_error, sent
from tests.conftest import add_chain, add_prompt, step

CATS = {"topic": "cats"}
POSTS = {
    "invoke": {"input": CATS},
    "batch": {"inputs": [CATS]},
    "stream": {"input": CATS},
    "stream_events": {"input": CATS},
    "stream_log": {"input": CATS},
}
GETS = ["input_schema", "output_schema", "config_schema"]


def packed(config: object) -> str:
    return LZString.compressToEncodedURIComponent(json.dumps(config))


@pytest.fixture
def tuned(demo) -> Chain:
    """Its callers choose one of two prompts, and see its steps."""
    add_prompt("joke")
    add_prompt("formal", "Sir: {topic} in {place}")
    choices = {"formal": {"slug": "formal"}}
    option = {"field": "prompt", "name": "tone", "step": "answer", "choices": choices}
    chain = add_chain("joke", step(), configurable=[option])
    Chain.objects.update(expose_steps=True, config_keys=["configurable", "tags", "metadata"])
    return chain


FORMAL = {"configurable": {"tone": "formal"}}


async def whole(response) -> bytes:
    return await sent(response) if response.streaming else response.content


# --- In the body -------------------------------------------------------------------------------


async def test_a_choice_is_applied_and_recorded(api, tuned):
    body = {"input": CATS | {"place": "Rome"}, "config": FORMAL}

    response = await api.post("/chains/joke/invoke", body)

    run = await Run.objects.aget()
    assert response.json()["output"] == "Sir: cats in Rome"
    assert (run.config, run.prompt_versions) == (FORMAL, {"formal": 1})


async def test_only_what_had_a_meaning_is_recorded(api, tuned):
    secret = {"openai_api_key": "sk-CANARY", "base_url": "http://CANARY"}
    config = {"configurable": {"tone": "default", **secret}, "tags": ["a"], "callbacks": ["CANARY"], **secret}

    await api.post("/chains/joke/invoke", {"input": CATS, "config": config})

    run = await Run.objects.aget()
    assert run.config == {"configurable": {"tone": "default"}, "tags": ["a"]}


@pytest.mark.parametrize("endpoint", POSTS)
async def test_a_choice_that_is_not_offered_is_refused_by_its_name(api, tuned, endpoint):
    config = {"configurable": {"tone": "rude"}}

    response = await api.post(f"/chains/joke/{endpoint}", POSTS[endpoint] | {"config": config})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response)[0][-2:] == ["configurable", "tone"]
    assert not await Run.objects.aexists()


async def test_a_chain_that_does_not_allow_its_choices_says_so_in_words(api, tuned):
    await Chain.objects.aupdate(config_keys=[])

    response = await api.post("/chains/joke/invoke", {"input": CATS, "config": FORMAL})

    assert is_error(response, 422, "invalid_input")
    assert "configure nothing" in response.json()["detail"]


@pytest.mark.parametrize("config", [3, "x", True])
async def test_a_config_is_an_object(api, joke, config):
    response = await api.post("/chains/joke/invoke", {"input": CATS, "config": config})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["config"]]


# --- In the address ----------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", POSTS)
async def test_every_way_to_run_takes_a_config_from_the_address(api, tuned, endpoint):
    place = CATS | {"place": "Rome"}
    body = {"inputs": [place]} if endpoint == "batch" else {"input": place}

    response = await api.post(f"/chains/joke/c/{packed(FORMAL)}/{endpoint}", body)

    assert response.status_code == 200
    assert b"Sir:" in await whole(response)
    assert (await Run.objects.aget()).config == FORMAL


async def test_the_schemas_are_those_of_the_config_in_the_address(api, tuned):
    plain = (await api.get("/chains/joke/input_schema")).json()
    formal = (await api.get(f"/chains/joke/c/{packed(FORMAL)}/input_schema")).json()
    shown = (await api.get(f"/chains/joke/c/{packed(FORMAL)}/config_schema")).json()

    assert (set(plain["properties"]), set(formal["properties"])) == ({"topic"}, {"topic", "place"})
    assert shown["$defs"]["Configurable"]["properties"]["tone"]["enum"] == ["default", "formal"]


async def ask_all(api, address: str) -> list:
    """The answers of every endpoint under this config."""
    at = f"/chains/joke/c/{address}"
    posts = [await api.post(f"{at}/{endpoint}", body) for endpoint, body in POSTS.items()]
    return [*posts, *[await api.get(f"{at}/{endpoint}") for endpoint in GETS]]


@pytest.mark.parametrize("text", ["garbage", packed([]), packed({"a": "\x00"}), "%F0%9F%98%80"])
async def test_what_is_no_config_is_a_bad_request_everywhere(api, tuned, text):
    responses = await ask_all(api, text)

    assert len(responses) == 8
    for response in responses:
        assert is_error(response, 400, "invalid_config_hash")
        assert response.json()["detail"] == "Invalid config hash"
    assert not await Run.objects.aexists()


async def test_a_config_in_the_address_is_checked_like_one_in_the_body_everywhere(api, tuned):
    responses = await ask_all(api, packed({"configurable": {"tone": 3}}))

    assert [is_error(response, 422, "invalid_input") for response in responses] == [True] * 8


async def test_the_body_wins_over_the_address_and_tags_are_united(api, tuned):
    address = packed({"configurable": {"tone": "formal"}, "tags": ["a", "b"], "metadata": {"x": 1, "y": 1}})
    config = {"configurable": {"tone": "default"}, "tags": ["b", "c"], "metadata": {"y": 2}}

    response = await api.post(f"/chains/joke/c/{address}/invoke", {"input": CATS, "config": config})

    assert response.json()["output"] == "cats"
    assert (await Run.objects.aget()).config == {
        "configurable": {"tone": "default"},
        "tags": ["a", "b", "c"],
        "metadata": {"x": 1, "y": 2},
    }


async def test_each_of_a_batch_adds_its_own_config_to_that_of_the_address(api, tuned):
    inputs = [CATS | {"place": "Rome"}] * 2
    body = {"inputs": inputs, "config": [{}, {"configurable": {"tone": "default"}}]}

    response = await api.post(f"/chains/joke/c/{packed(FORMAL)}/batch", body)

    assert response.json()["output"] == ["Sir: cats in Rome", "cats"]


# --- The run's id ------------------------------------------------------------------------------

MINE = "00000000-0000-4000-8000-000000000007"


@pytest.mark.parametrize("endpoint", ["invoke", "stream", "stream_events", "stream_log"])
async def test_a_client_may_name_its_run(api, tuned, endpoint):
    body = {"input": CATS, "config": {"run_id": MINE}}

    response = await api.post(f"/chains/joke/{endpoint}", body)

    assert response.headers["X-ChainHub-Run-ID"] == MINE
    assert MINE.encode() in await whole(response)
    assert (await Run.objects.aget()).pk == uuid.UUID(MINE)


@pytest.mark.parametrize("endpoint", ["invoke", "stream"])
async def test_an_id_that_is_taken_is_refused_and_nothing_is_overwritten(api, bobs_api, tuned, endpoint):
    await api.post("/chains/joke/invoke", {"input": {"topic": "mine"}, "config": {"run_id": MINE}})
    before = await Run.objects.values().aget()

    for caller in (api, bobs_api):
        response = await caller.post(
            f"/chains/joke/{endpoint}", {"input": {"topic": "other"}, "config": {"run_id": MINE}}
        )
        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response) == [["run_id"]]

    assert await Run.objects.values().aget() == before


async def test_an_id_is_a_uuid(api, joke):
    for run_id in ("x", 7, "", [MINE], {}, True):
        response = await api.post("/chains/joke/invoke", {"input": CATS, "config": {"run_id": run_id}})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response) == [["run_id"]]


@pytest.mark.parametrize("address", ["", f"c/{packed({'run_id': MINE})}/"], ids=["body", "address"])
async def test_one_config_for_a_batch_names_its_first_run_only(api, joke, address):
    body = {"inputs": [CATS] * 3, "config": {} if address else {"run_id": MINE}}

    response = await api.post(f"/chains/joke/{address}batch", body)

    run_ids = response.json()["metadata"]["run_ids"]
    assert run_ids[0] == MINE
    assert len(set(run_ids)) == 3


async def test_each_of_a_batch_may_be_named(api, joke):
    names = [str(uuid.UUID(int=n)) for n in (1, 2)]
    body = {"inputs": [CATS] * 2, "config": [{"run_id": name} for name in names]}

    assert (await api.post("/chains/joke/batch", body)).json()["metadata"]["run_ids"] == names


async def test_one_id_for_two_of_a_batch_is_refused_by_its_place(api, joke):
    body = {"inputs": [CATS] * 2, "config": [{"run_id": MINE}] * 2}

    response = await api.post("/chains/joke/batch", body)

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) in ([[0, "run_id"]], [[1, "run_id"]])
