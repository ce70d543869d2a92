"""POST /chains/<ref>/batch: many answers in order, or one refusal."""

import time

import pytest
from asgiref.sync import sync_to_async

from chains.models import Run
from tests.api.conftest import fields_at_fault, is_error
from tests.conftest import add_chain, add_prompt, step, wait_until
from tests.upstream import fails, slow

BATCH = "/chains/joke/batch"


def topics(*names: str) -> list[dict]:
    return [{"topic": name} for name in names]


async def test_the_answers_have_langserves_form_and_the_order_of_the_inputs(api, joke):
    response = await api.post(BATCH, {"inputs": topics("a", "b", "c")})

    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"output", "metadata"}
    assert body["output"] == ["a", "b", "c"]
    run_ids = body["metadata"]["run_ids"]
    expected = [{"run_id": run_id, "feedback_tokens": []} for run_id in run_ids]
    assert body["metadata"]["responses"] == expected
    assert [(await Run.objects.aget(pk=run_id)).input["topic"] for run_id in run_ids] == ["a", "b", "c"]


async def test_the_runs_of_a_batch_have_one_parent(api, joke):
    await api.post(BATCH, {"inputs": topics("a", "b")})

    rows = [row async for row in Run.objects.values_list("parent_id", "source")]
    assert len(set(rows)) == 1
    assert rows[0][0] is not None
    assert rows[0][1] == "batch"


async def test_an_empty_batch_has_an_empty_answer(api, joke):
    response = await api.post(BATCH, {"inputs": []})

    assert response.content == b'{"output":[],"metadata":{"responses":[],"run_ids":[]}}'


async def test_an_empty_batch_of_an_unknown_chain_is_not_found(api, joke):
    response = await api.post("/chains/nope/batch", {"inputs": []})

    assert is_error(response, 404, "not_found")


@pytest.mark.parametrize(
    "more",
    [
        {"config": None},
        {"config": {"tags": [], "metadata": {}}},
        {"config": [{"tags": []}, {}]},
        {"config": [{}, None]},
        {"kwargs": {}},
        {"kwargs": [{}, {}]},
        {"return_exceptions": True},
    ],
)
async def test_what_a_client_sends_beside_the_inputs_is_ignored(api, joke, more):
    response = await api.post(BATCH, {"inputs": topics("a", "b"), **more})

    assert response.json()["output"] == ["a", "b"]


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_there_are_as_many_configs_as_inputs(api, joke, count):
    response = await api.post(BATCH, {"inputs": topics("a", "b"), "config": [{}] * count})

    assert is_error(response, 422, "invalid_input")
    message = f"Number of configs ({count}) must match number of inputs (2)"
    assert response.json()["detail"] == message


async def test_a_config_that_is_no_object_is_refused(api, joke):
    for config in [3, "x", False, [{}, 3]]:
        response = await api.post(BATCH, {"inputs": topics("a", "b"), "config": config})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response)[0][0] == "config"


async def test_inputs_that_are_no_list_are_refused(api, joke):
    for inputs in [None, {}, {"topic": "a"}, "a", 3]:
        response = await api.post(BATCH, {"inputs": inputs})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response) == [["inputs"]]


async def test_a_body_without_inputs_is_refused(api, joke):
    response = await api.post(BATCH, {"input": {"topic": "a"}})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["inputs"]]


async def test_a_bad_input_is_named_with_its_index_and_nothing_runs(api, joke):
    response = await api.post(BATCH, {"inputs": [{"topic": "a"}, {"topic": 3}]})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [[1, "topic"]]
    assert not await Run.objects.aexists()


async def test_a_hundred_inputs_are_answered(api, joke):
    names = [str(number) for number in range(100)]

    response = await api.post(BATCH, {"inputs": topics(*names)})

    assert response.json()["output"] == names
    assert await Run.objects.filter(status="succeeded").acount() == 100


async def test_a_hundred_and_one_inputs_are_refused(api, joke):
    response = await api.post(BATCH, {"inputs": topics(*["x"] * 101)})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["inputs"]]
    assert not await Run.objects.aexists()


async def test_one_failure_is_the_answer_and_ends_the_others(api, poem, upstream):
    upstream.script(fails(404), slow(first_token_s=30), slow(first_token_s=30))

    began = time.monotonic()
    response = await api.post("/chains/poem/batch", {"inputs": topics("a", "b", "c")})

    assert is_error(response, 502, "provider_refused")
    assert time.monotonic() - began < 5
    await sync_to_async(wait_until)(lambda: not Run.objects.running().exists())
    assert await Run.objects.filter(status="failed").acount() == 1
    assert not await Run.objects.filter(status="succeeded").aexists()


async def test_no_more_than_a_few_run_at_once(api, poem, upstream, settings):
    settings.BATCH_CONCURRENCY = 3
    most = 0

    def text(_body: dict) -> str:
        nonlocal most
        most = max(most, upstream.active)
        return "ok"

    upstream.script(*[slow(first_token_s=0.1, text=text)] * 12)

    response = await api.post("/chains/poem/batch", {"inputs": topics(*"abcdefghijkl")})

    assert response.json()["output"] == ["ok"] * 12
    assert 1 < most <= 3


async def test_the_headers_name_the_versions_and_the_whole_cost(api, joke, demo):
    await demo.prices.acreate(model="demo-echo", input_usd=1, output_usd=2)

    response = await api.post(BATCH, {"inputs": topics("a", "b")})

    assert response.headers["X-ChainHub-Version"] == "joke@1"
    assert float(response.headers["X-ChainHub-Cost"]) == pytest.approx(2 * 3 / 1_000_000)


async def test_a_cost_that_is_not_known_is_not_told(api, joke):
    response = await api.post(BATCH, {"inputs": topics("a")})

    assert "X-ChainHub-Cost" not in response.headers


async def test_each_output_keeps_its_kind(api, demo):
    await sync_to_async(add_prompt)("joke")
    await sync_to_async(add_chain)("joke", step(parser={"kind": "json"}))

    response = await api.post(BATCH, {"inputs": topics('{"a":[1]}', "null", '"x"', "0")})

    assert response.json()["output"] == [{"a": [1]}, None, "x", 0]
