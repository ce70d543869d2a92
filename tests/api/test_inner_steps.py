"""POST /chains/<ref>/stream_events and stream_log: what happens inside a run, for those who may see it."""

import json
from typing import Any

import jsonpatch
import pytest
from asgiref.sync import sync_to_async

from accounts.keys import issue_key
from chains.models import Chain, Run
from chains.runtime.registry import register
from tests.api.conftest import Api, fields_at_fault, frames, is_error, sent
from tests.compat.runnables import RUNNABLES
from tests.upstream import HELLO, fails

BOTH = pytest.mark.parametrize("endpoint", ["stream_events", "stream_log"])
CATS = {"topic": "cats"}


@pytest.fixture
def open_joke(joke) -> Chain:
    Chain.objects.update(expose_steps=True)
    return joke


@pytest.fixture
def open_poem(poem) -> Chain:
    Chain.objects.update(expose_steps=True)
    return poem


async def tell(api: Api, endpoint: str, slug: str = "joke", value: Any = None, **more: Any) -> list:
    """The frames of a run, their data decoded."""
    body = {"input": CATS if value is None else value, **more}
    response = await api.post(f"/chains/{slug}/{endpoint}", body)
    assert response.status_code == 200, response.content
    return [(name, json.loads(data) if data else None) for name, data in frames(await sent(response))]


async def events(api: Api, slug: str = "joke", **more: Any) -> list[dict]:
    *told, end = await tell(api, "stream_events", slug, **more)
    assert end == ("end", None)
    return [data for _, data in told]


async def documents(api: Api, slug: str = "joke", value: Any = None, **more: Any) -> list[Any]:
    """The log as it stands after each frame."""
    *told, end = await tell(api, "stream_log", slug, value, **more)
    assert end == ("end", None)
    states: list[Any] = [None]
    for _, data in told:
        assert set(data) == {"ops"}
        states.append(jsonpatch.apply_patch(states[-1], data["ops"]))
    return states[1:]


# --- stream_events -----------------------------------------------------------------------------


async def test_events_tell_of_the_run_and_its_steps_in_langchains_words(api, open_joke):
    told = await events(api)

    run = await Run.objects.aget()
    own = [event for event in told if event["run_id"] == str(run.id)]
    assert list(dict.fromkeys(event["event"] for event in own)) == [
        "on_chain_start",
        "on_chain_stream",
        "on_chain_end",
    ]
    assert {event["name"] for event in own} == {"/joke"}
    assert own[0]["data"] == {"input": CATS}
    assert own[-1]["data"]["output"] == "cats"
    assert {"on_prompt_start", "on_prompt_end", "on_chat_model_stream"} <= {e["event"] for e in told}
    assert (run.source, run.status, run.output) == ("events", "succeeded", "cats")


@BOTH
async def test_there_are_only_data_frames_before_the_end(api, open_joke, endpoint):
    names = [name for name, _ in await tell(api, endpoint)]

    assert set(names[:-1]) == {"data"}
    assert names[-1] == "end"


@BOTH
async def test_nothing_internal_and_no_credential_is_told(api, open_poem, endpoint):
    text = json.dumps(await tell(api, endpoint, "poem", config={"metadata": {"__own": 1}}))

    assert HELLO in text
    assert "CANARY" not in text
    assert '"__' not in text
    assert "127.0.0.1" not in text


@BOTH
async def test_internal_names_that_code_sets_are_not_told(api, registry, endpoint):
    internal = {"__tenant": "CANARY", "shown": "yes"}
    register("any", RUNNABLES["text"].with_config(metadata=internal), expose_steps=True)

    text = json.dumps(await tell(api, endpoint, "any"))

    assert '"shown"' in text
    assert "CANARY" not in text


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ({"include_types": ["prompt"]}, {"prompt"}),
        ({"include_types": ["prompt"], "include_names": ["/joke"]}, {"prompt", "chain"}),
        ({"include_names": ["nobody"]}, set()),
        ({"include_types": []}, set()),
        ({"include_types": ["prompt", "chat_model"], "exclude_types": ["prompt"]}, {"chat_model"}),
        ({"include_tags": ["seq:step:1"]}, {"prompt"}),
        ({"exclude_types": ["chain", "parser", "prompt"], "exclude_tags": None}, {"chat_model"}),
        ({"exclude_names": ["/joke"], "include_types": ["chain"]}, set()),
    ],
)
async def test_filters_choose_what_is_told(api, open_joke, wanted, kinds):
    told = await events(api, **wanted)

    assert {event["event"].removeprefix("on_").rpartition("_")[0] for event in told} == kinds
    assert (await Run.objects.aget()).output == "cats"


@BOTH
async def test_a_filter_is_a_list_of_texts(api, open_joke, endpoint):
    for value in ("x", {"a": 1}, [3], [None], 3):
        response = await api.post(f"/chains/joke/{endpoint}", {"input": CATS, "exclude_tags": value})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response) == [["exclude_tags"]]
    assert not await Run.objects.aexists()


@BOTH
async def test_what_clients_send_beside_it_is_ignored(api, open_joke, endpoint):
    names = [
        "include_names",
        "include_types",
        "include_tags",
        "exclude_names",
        "exclude_types",
        "exclude_tags",
    ]

    told = await tell(api, endpoint, **dict.fromkeys(names), diff=False, kwargs={"version": "v2"})

    assert told[-1] == ("end", None)


# --- stream_log --------------------------------------------------------------------------------


async def test_patches_add_up_to_the_log_of_the_run(api, open_joke):
    first, *_, last = await documents(api, value={"topic": "hello brave world"})

    run = await Run.objects.aget()
    expected = {"id": str(run.id), "name": "/joke", "type": "chain"}
    assert first == expected | {"streamed_output": [], "final_output": None, "logs": {}}
    assert "".join(last["streamed_output"]) == last["final_output"] == "hello brave world" == run.output
    prompt = last["logs"]["ChatPromptTemplate"]
    assert (prompt["type"], prompt["name"]) == ("prompt", "ChatPromptTemplate")
    assert prompt["start_time"] <= prompt["end_time"]
    (model,) = (step for step in last["logs"].values() if step["type"] == "llm")
    assert "".join(model["streamed_output_str"]) == "hello brave world"


async def test_filters_leave_the_run_itself_in_the_log(api, open_joke):
    *_, last = await documents(api, include_types=["prompt"])

    assert {step["type"] for step in last["logs"].values()} == {"prompt"}
    assert last["final_output"] == "cats"


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "hi"), ("prompt", CATS), ("library", "q"), ("pair", {"left": 1}), ("nothing", "x")],
)
async def test_every_kind_of_chain_has_its_output_in_the_log_and_in_the_record(api, registry, name, value):
    register("any", RUNNABLES[name], expose_steps=True)
    invoked = (await api.post("/chains/any/invoke", {"input": value})).json()["output"]

    *_, last = await documents(api, "any", value)

    run = await Run.objects.aget(source="log")
    assert without_ids(last["final_output"]) == without_ids(run.output) == without_ids(invoked)


def without_ids(output: Any) -> Any:
    """Messages are numbered anew in each run, and their pieces are called chunks."""
    if not isinstance(output, dict) or "tool_calls" not in output:
        return output
    return output["content"]


# --- Who may see it ----------------------------------------------------------------------------


@BOTH
async def test_ordinary_callers_are_told_that_steps_are_hidden(api, joke, endpoint):
    response = await api.post(f"/chains/joke/{endpoint}", {"input": CATS})

    assert is_error(response, 403, "steps_hidden")
    assert "editors can allow it" in response.json()["message"]
    assert not await Run.objects.aexists()


@BOTH
async def test_editors_always_see_steps(shared_db, joke, staff, endpoint):
    key = (await sync_to_async(issue_key)(user=staff, name="tests", expires_at=None)).secret

    told = await tell(Api(key), endpoint)

    assert told[-1] == ("end", None)


@BOTH
@pytest.mark.parametrize("exposed", [False, True])
async def test_code_says_for_itself_whether_its_steps_are_open(api, registry, endpoint, exposed):
    register("any", RUNNABLES["text"], expose_steps=exposed)

    response = await api.post(f"/chains/any/{endpoint}", {"input": CATS})

    assert response.status_code == (200 if exposed else 403)


@BOTH
async def test_a_chain_that_one_may_not_run_is_not_found_though_its_steps_are_open(api, open_joke, endpoint):
    await Chain.objects.aupdate(access="groups")

    assert is_error(await api.post(f"/chains/joke/{endpoint}", {"input": CATS}), 404, "not_found")


@BOTH
async def test_a_failure_ends_the_stream_with_its_status(api, open_poem, upstream, endpoint):
    upstream.script(fails(401))

    *_, (name, error) = await tell(api, endpoint, "poem")

    run = await Run.objects.aget()
    assert name == "error"
    assert (error["status_code"], error["code"]) == (502, "provider_auth_failed")
    assert (error["run_id"], run.status) == (str(run.id), "failed")
