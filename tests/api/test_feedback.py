"""POST and HEAD /chains/<ref>/feedback: what callers say of their own runs."""

import json
import uuid

import pytest
from asgiref.sync import sync_to_async

from chains.models import Chain, Feedback, Run
from tests.api.conftest import fields_at_fault, is_error
from tests.conftest import add_chain, add_prompt, step

PATH = "/chains/joke/feedback"


@pytest.fixture
async def run_id(api, joke) -> str:
    """A run of alice's."""
    response = await api.post("/chains/joke/invoke", {"input": {"topic": "cats"}})
    return response.json()["metadata"]["run_id"]


def said(run_id: str, **data: object) -> dict:
    return {"run_id": run_id, "key": "thumbs", **data}


async def test_feedback_is_kept_and_answered_in_langserves_form(api, run_id, alice):
    response = await api.post(PATH, said(run_id, score=1, value="good", comment="Ha!"))

    body, row = response.json(), await Feedback.objects.aget()
    assert response.status_code == 200
    assert set(body) == {
        *("run_id", "key", "score", "value", "comment", "id", "created_at", "modified_at", "correction")
    }
    assert (body["run_id"], body["key"], body["score"], body["value"], body["comment"]) == (
        *(run_id, "thumbs", 1.0, "good", "Ha!"),
    )
    assert (str(row.id), str(row.run_id), row.user_id, row.score) == (body["id"], run_id, alice.pk, 1.0)


async def test_saying_it_again_replaces_it_and_another_key_does_not(api, run_id):
    first = (await api.post(PATH, said(run_id, score=1, comment="Ha!"))).json()
    again = (await api.post(PATH, said(run_id, score=0))).json()
    await api.post(PATH, {"run_id": run_id, "key": "other", "value": 3})

    rows = {row.key: (row.score, row.value, row.comment) async for row in Feedback.objects.all()}
    assert again["id"] == first["id"]
    assert rows == {"thumbs": (0.0, None, ""), "other": (None, 3, "")}


async def test_a_value_comes_back_as_it_was_sent(api, run_id):
    for value in ("good", 3, 1.5, True, {"a": [1]}, None, ""):
        body = (await api.post(PATH, said(run_id, value=value))).json()

        assert json.dumps(body["value"]) == json.dumps(value)
        assert (await Feedback.objects.aget()).value == value


async def test_a_score_is_a_number(api, run_id):
    for score, kept in ((True, 1.0), (False, 0.0), (0.5, 0.5), (-3, -3.0), (None, None)):
        assert (await api.post(PATH, said(run_id, score=score))).json()["score"] == kept


@pytest.mark.parametrize(
    ("data", "loc"),
    [
        ({"key": ""}, ["key"]),
        ({"key": "k" * 101}, ["key"]),
        ({"key": 3}, ["key"]),
        ({"run_id": "x"}, ["run_id"]),
        ({"run_id": None}, ["run_id"]),
        ({"score": "much"}, ["score"]),
        ({"score": [1]}, ["score"]),
        ({"value": [1]}, ["value"]),
        ({"comment": "c" * 10_001}, ["comment"]),
        ({"comment": 3}, ["comment"]),
    ],
)
async def test_another_form_is_refused_by_its_place(api, run_id, data, loc):
    response = await api.post(PATH, said(run_id) | data)

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response)[0][: len(loc)] == loc
    assert not await Feedback.objects.aexists()


@pytest.mark.parametrize("field", ["score", "value"])
async def test_what_is_no_number_is_no_score(api, run_id, field):
    for number in ("NaN", "Infinity", "-Infinity", "1e400"):
        body = f'{{"run_id": "{run_id}", "key": "thumbs", "{field}": {number}}}'

        assert (await api.post(PATH, body.encode())).status_code == 422


@pytest.mark.parametrize("missing", ["run_id", "key"])
async def test_a_run_and_a_key_are_named(api, run_id, missing):
    body = said(run_id, score=1)
    del body[missing]

    assert fields_at_fault(await api.post(PATH, body)) == [[missing]]


# --- Whose runs --------------------------------------------------------------------------------


async def test_another_users_run_is_not_found(bobs_api, run_id):
    assert is_error(await bobs_api.post(PATH, said(run_id, score=0)), 404, "not_found")
    assert not await Feedback.objects.aexists()


async def test_a_run_that_nobody_made_is_not_found(api, joke):
    assert is_error(await api.post(PATH, said(str(uuid.uuid4()))), 404, "not_found")


async def test_a_run_belongs_to_its_own_chain(api, run_id):
    await sync_to_async(add_prompt)("other")
    await sync_to_async(add_chain)("other", step("other"))

    assert (await api.get("/chains/other/feedback", method="HEAD")).status_code == 200
    assert is_error(await api.post("/chains/other/feedback", said(run_id)), 404, "not_found")


async def test_a_stranger_says_nothing(anonymous, joke):
    assert (await anonymous.post(PATH, said(str(uuid.uuid4())))).status_code == 401
    assert (await anonymous.get(PATH, method="HEAD")).status_code == 401


async def test_a_chain_that_is_served_under_other_labels_only_takes_feedback_there(api, run_id):
    chain = await Chain.objects.aget()
    await chain.labels.all().adelete()

    assert is_error(await api.post(PATH, said(run_id)), 404, "not_found")
    assert (await api.post("/chains/joke@1/feedback", said(run_id))).status_code == 200


async def test_feedback_outlives_whoever_gave_it(api, run_id, alice):
    await api.post(PATH, said(run_id, score=1))

    await Run.objects.aupdate(user=None)
    await alice.adelete()

    assert (await Feedback.objects.aget()).user_id is None


# --- Whether it is taken -----------------------------------------------------------------------


async def test_head_tells_that_feedback_is_taken(api, joke):
    assert (await api.get(PATH, method="HEAD")).status_code == 200


async def test_where_it_is_switched_off_there_is_nothing(api, run_id):
    await Chain.objects.aupdate(disabled_endpoints=["feedback"])

    assert is_error(await api.post(PATH, said(run_id)), 404, "not_found")
    assert (await api.get(PATH, method="HEAD")).status_code == 404


async def test_an_unknown_chain_takes_none(api, joke):
    assert (await api.get("/chains/nope/feedback", method="HEAD")).status_code == 404
