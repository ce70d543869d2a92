"""Chains in code over HTTP: answered, recorded and described like any other."""

import asyncio
import json
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from chains.models import Chain, Run
from chains.runtime.registry import register
from tests.api.conftest import fields_at_fault, frames, is_error, sent
from tests.compat.runnables import RUNNABLES
from tests.upstream import fails

pytestmark = pytest.mark.usefixtures("registry")

CATS = {"topic": "cats"}


class Point(BaseModel):
    """Where."""

    x: int
    next: "Point | None" = None


def moved(point: Point) -> Point:
    return Point(x=point.x + 1, next=point)


async def invoke(api: Any, slug: str, value: Any, **more: Any) -> Any:
    return await api.post(f"/chains/{slug}/invoke", {"input": value, **more})


async def test_its_answer_is_named_by_its_package(api):
    register("any", RUNNABLES["text"])

    response = await invoke(api, "any", CATS)

    run = await Run.objects.aget()
    assert (response.status_code, response.json()["output"]) == (200, "cats")
    assert response.headers["X-ChainHub-Version"] == "any (tests)"
    assert (run.chain_version_id, run.chain_version_number, run.package) == (None, None, "tests")
    assert (run.chain_slug, run.status, run.input, run.output) == ("any", "succeeded", CATS, "cats")


async def test_models_go_in_and_out_as_plain_data(api):
    register("move", moved)

    response = await invoke(api, "move", {"x": 1})

    assert response.json()["output"] == {"x": 2, "next": {"x": 1, "next": None}}


async def test_input_that_does_not_fit_is_refused_by_its_place(api):
    register("move", moved)

    response = await invoke(api, "move", {"x": 1, "next": {"x": "y"}})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["next", "x"]]
    assert not await Run.objects.aexists()


async def test_a_models_usage_is_in_the_record(api, upstream):
    model = ChatOpenAI(model="test-model", base_url=upstream.base_url, api_key=SecretStr("sk-CANARY"))
    register("ask", ChatPromptTemplate.from_template("{topic}") | model)

    await invoke(api, "ask", CATS)

    run = await Run.objects.aget()
    assert (run.input_tokens, run.output_tokens, run.finish_reason, run.cost_usd) == (1, 3, "stop", None)
    assert run.calls == [
        {
            "step": "",
            "provider": "openai",
            "model": "test-model",
            "attempts": 1,
            "finish_reason": "stop",
            "input_tokens": 1,
            "output_tokens": 3,
            "cost_usd": None,
            "tries": [],
        }
    ]


async def test_its_providers_fault_is_told_as_one(api, upstream):
    upstream.script(fails(401, "Wrong key {key}"))
    model = ChatOpenAI(
        model="test-model", base_url=upstream.base_url, api_key=SecretStr("sk-CANARY"), max_retries=0
    )
    register("ask", ChatPromptTemplate.from_template("{topic}") | model)

    response = await invoke(api, "ask", CATS)

    assert is_error(response, 502, "provider_auth_failed")
    assert (await Run.objects.aget()).error_code == "provider_auth_failed"
    assert "CANARY" not in response.content.decode()


def fail(value: Any) -> Any:
    raise LookupError("CANARY sk-CANARY")


NO_JSON = {
    "set": lambda _: {1},
    "bytes": lambda _: b"x",
    "object": lambda _: object(),
    "number as key": lambda _: {1: 2},
    "fails": fail,
}


@pytest.mark.parametrize("kind", NO_JSON)
async def test_what_goes_wrong_inside_is_a_safe_failure_and_recorded(api, kind):
    register("odd", RunnableLambda(NO_JSON[kind]), expose_steps=True)

    invoked = await invoke(api, "odd", "x")
    assert is_error(invoked, 500, "internal_error")
    assert invoked.json()["detail"] == "Internal server error."
    for endpoint in ("stream", "stream_events", "stream_log"):
        data = await sent(await api.post(f"/chains/odd/{endpoint}", {"input": "x"}))
        name, error = frames(data)[-1]
        assert (name, json.loads(error)["status_code"]) == ("error", 500)
        assert b"CANARY" not in data
    assert {(run.status, run.error_code, run.error_message) async for run in Run.objects.all()} == {
        ("failed", "internal_error", "Internal server error.")
    }


async def test_its_time_limit_is_told(api):
    async def sleep(value: str) -> None:
        await asyncio.sleep(9)

    register("slow", sleep, timeout_s=0.05)

    assert is_error(await invoke(api, "slow", "x"), 504, "run_timeout")


async def test_a_choice_is_checked_and_applied(api):
    register("any", RUNNABLES["configured"])

    chosen = await invoke(api, "any", CATS, config={"configurable": {"prefix": "My ", "unknown": 1}})
    refused = await invoke(api, "any", CATS, config={"configurable": {"prefix": 3}})

    assert chosen.json()["output"] == "My cats"
    assert (await Run.objects.aget()).config == {"configurable": {"prefix": "My "}}
    assert is_error(refused, 422, "invalid_input")
    assert fields_at_fault(refused) == [["configurable", "prefix"]]


@pytest.mark.parametrize("ref", ["1", "staging"])
async def test_it_has_no_numbered_versions(api, ref):
    register("any", RUNNABLES["text"])

    assert is_error(await invoke(api, f"any@{ref}", CATS), 404, "not_found")
    assert (await invoke(api, "any@latest", CATS)).status_code == 200


async def test_one_reads_ones_own_runs_of_it(api):
    register("any", RUNNABLES["text"])
    await invoke(api, "any", CATS)

    (row,) = (await api.get("/api/v1/runs/?chain=any")).json()["results"]

    assert (row["chain"], row["version"], row["package"], row["output"]) == ("any", None, "tests", "cats")


async def test_a_row_whose_code_is_gone_is_unavailable(api):
    await Chain.objects.acreate(slug="gone", kind="code")

    response = await invoke(api, "gone", CATS)

    assert is_error(response, 503, "invalid_spec")
    assert "gone" not in response.json()["message"]


# --- Described ---------------------------------------------------------------------------------


def document(key: str) -> dict:
    response = Client(headers={"Authorization": f"Bearer {key}"}).get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def offered(spec: dict, slug: str) -> set[str]:
    return {path.rpartition("/")[2] for path in spec["paths"] if path.startswith(f"/chains/{slug}/")}


def test_it_is_described_by_its_own_schemas(db, alice_key):
    register("move", moved)
    register("any", RUNNABLES["history"])
    for slug in ("move", "any"):
        Chain.objects.create(slug=slug, kind="code")

    spec = document(alice_key)

    validate_schema(spec)
    assert "x" in str(spec["components"]["schemas"]["move.input"])
    assert {"invoke", "batch", "stream", "feedback", "input_schema"} <= offered(spec, "any")


def test_types_without_a_schema_leave_it_out_and_the_others_in(db, alice_key, joke):
    register("odd", RunnableLambda(len), input_type=type("Own", (), {}))
    Chain.objects.create(slug="odd", kind="code")

    spec = document(alice_key)

    assert offered(spec, "odd") == set()
    assert "invoke" in offered(spec, "joke")


@pytest.mark.parametrize("exposed", [False, True])
def test_inner_steps_are_described_to_those_who_may_see_them(db, alice_key, joke, exposed):
    Chain.objects.update(expose_steps=exposed)

    assert ({"stream_events", "stream_log"} <= offered(document(alice_key), "joke")) is exposed


def test_what_is_switched_off_is_not_described(db, alice_key, joke):
    Chain.objects.update(disabled_endpoints=["batch", "feedback", "config_schema"])

    spec = document(alice_key)

    validate_schema(spec)
    assert offered(spec, "joke") == {"invoke", "stream", "input_schema", "output_schema"}
