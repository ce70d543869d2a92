"""POST /chains/<ref>/batch?partial=true: each failure beside the good answers."""

import pytest

from chains.models import Run
from tests.api.conftest import is_error
from tests.upstream import answers, fails

BATCH = "/chains/joke/batch?partial=true"
CATS, BAD = {"topic": "cats"}, {"topic": 3}


async def test_good_answers_stand_beside_what_was_wrong_with_the_others(api, joke):
    response = await api.post(BATCH, {"inputs": [CATS, BAD, {}, CATS]})

    body = response.json()
    ids, errors = body["metadata"]["run_ids"], body["metadata"]["errors"]
    assert response.status_code == 200
    assert body["output"] == ["cats", None, None, "cats"]
    assert [error and error["status_code"] for error in errors] == [None, 422, 422, None]
    assert [error["detail"][0]["loc"] for error in errors if error] == [[1, "topic"], [2, "topic"]]
    assert set(errors[1]) == {"status_code", "detail", "message", "code"}
    assert (ids[1], ids[2]) == (None, None)
    assert body["metadata"]["responses"] == [{"run_id": run_id, "feedback_tokens": []} for run_id in ids]
    assert {str(run.pk) async for run in Run.objects.all()} == {ids[0], ids[3]}


async def test_a_run_that_failed_is_named_beside_its_error(api, poem, upstream):
    upstream.script(answers("one"), fails(401), answers("three"))

    response = await api.post("/chains/poem/batch?partial=1", {"inputs": [CATS] * 3})

    body = response.json()
    failed = body["output"].index(None)
    error = body["metadata"]["errors"][failed]
    assert sorted(filter(None, body["output"])) == ["one", "three"]
    assert (error["status_code"], error["code"]) == (502, "provider_auth_failed")
    assert "CANARY" not in response.content.decode()
    row = await Run.objects.aget(pk=body["metadata"]["run_ids"][failed])
    assert (row.status, row.error_code) == ("failed", "provider_auth_failed")


async def test_where_all_is_well_no_error_is_told(api, joke):
    body = (await api.post(BATCH, {"inputs": [CATS] * 2})).json()

    assert (body["output"], body["metadata"]["errors"]) == (["cats"] * 2, [None] * 2)


async def test_where_nothing_ran_no_run_is_named(api, joke):
    response = await api.post(BATCH, {"inputs": [BAD]})

    assert response.json()["output"] == [None]
    assert "X-ChainHub-Run-ID" not in response.headers
    assert not await Run.objects.aexists()


async def test_a_config_that_is_wrong_belongs_to_its_own_input(api, joke):
    body = {"inputs": [CATS] * 2, "config": [{"run_id": "x"}, {}]}

    response = await api.post(BATCH, body)

    first, second = response.json()["metadata"]["errors"]
    assert (first["detail"][0]["loc"], second) == ([0, "run_id"], None)


async def test_an_id_that_is_taken_fails_its_own_input_only(api, joke):
    named = {"run_id": "00000000-0000-4000-8000-000000000007"}
    await api.post("/chains/joke/invoke", {"input": CATS, "config": named})

    response = await api.post(BATCH, {"inputs": [CATS] * 2, "config": [{}, named]})

    body = response.json()
    assert body["output"] == ["cats", None]
    assert body["metadata"]["errors"][1]["detail"][0]["loc"] == [1, "run_id"]
    assert body["metadata"]["run_ids"][1] is None


@pytest.mark.parametrize("query", ["", "?partial=false", "?partial=0", "?partial=", "?partial"])
async def test_otherwise_a_batch_is_all_or_nothing(api, joke, query):
    response = await api.post(f"/chains/joke/batch{query}", {"inputs": [CATS, BAD]})

    assert is_error(response, 422, "invalid_input")
    assert not await Run.objects.aexists()


@pytest.mark.parametrize(
    ("body", "status"),
    [({"inputs": 3}, 422), ({}, 422), ({"inputs": [CATS], "config": [{}, {}]}, 422), (b"x", 422)],
)
async def test_a_batch_of_no_form_is_refused_as_a_whole(api, joke, body, status):
    assert (await api.post(BATCH, body)).status_code == status


async def test_a_chain_that_is_not_there_fails_the_whole_batch(api, joke):
    assert is_error(await api.post("/chains/nope/batch?partial=true", {"inputs": [CATS]}), 404, "not_found")
