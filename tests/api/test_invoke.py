"""POST /chains/<ref>/invoke: one answer, in LangServe's wire format."""

from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from chains.models import Run
from tests.api.conftest import fields_at_fault, is_error
from tests.conftest import add_chain, add_prompt, over_http, step
from tests.upstream import answers

INVOKE = "/chains/joke/invoke"
CATS = {"input": {"topic": "cats"}}


async def test_the_answer_has_langserves_form_to_the_byte(api, joke):
    response = await api.post(INVOKE, {"input": {"topic": "Größe 猫"}})

    run = await Run.objects.aget()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    expected = f'{{"output":"Größe 猫","metadata":{{"run_id":"{run.id}","feedback_tokens":[]}}}}'
    assert response.content.decode() == expected


async def test_the_headers_name_the_run_and_the_versions_that_answered(api, joke):
    await sync_to_async(add_prompt)("joke", "Now: {topic}")
    await sync_to_async(add_chain)("joke", step(extra={"reply": "new"}))

    response = await api.post(INVOKE, CATS)

    assert response.headers["X-ChainHub-Version"] == "joke@2"
    assert response.headers["X-ChainHub-Prompts"] == "joke@2"
    assert UUID(response.headers["X-ChainHub-Run-ID"]) == (await Run.objects.aget()).id


async def test_the_run_belongs_to_the_keys_owner_and_names_the_key(api, joke, alice):
    await api.post(INVOKE, CATS)

    run = await Run.objects.aget()
    assert (run.user_id, run.key_id) == (alice.pk, (await alice.api_keys.aget()).pk)
    assert (run.source, run.status) == ("rest", "succeeded")


BODIES_OF_REAL_CLIENTS = {
    "Python": {
        "input": {"topic": "cats"},
        "config": {"tags": [], "metadata": {}, "recursion_limit": 25, "configurable": {}},
        "kwargs": {},
    },
    "JavaScript": {
        "input": {"topic": "cats"},
        "config": {"tags": [], "metadata": {}, "recursionLimit": 25},
        "kwargs": {},
    },
    "no config": {"input": {"topic": "cats"}, "config": None},
    "list kwargs": {"input": {"topic": "cats"}, "kwargs": [{}, {}]},
    "odd kwargs": {"input": {"topic": "cats"}, "kwargs": "whatever"},
    "unknown keys": {"input": {"topic": "cats"}, "diff": True, "include_names": None, "x": [1]},
    "callbacks": {"input": {"topic": "cats"}, "config": {"run_name": 3, "callbacks": [1]}},
    "another chain": {"input": {"topic": "cats"}, "config": {"configurable": {"model": "gpt-9"}}},
}


@pytest.mark.parametrize("body", BODIES_OF_REAL_CLIENTS.values(), ids=BODIES_OF_REAL_CLIENTS)
async def test_what_a_client_sends_beside_the_input_is_ignored(api, joke, body):
    response = await api.post(INVOKE, body)

    assert response.json()["output"] == "cats"


async def test_a_config_that_is_no_object_is_refused(api, joke):
    for config in [3, 0, "", "x", False, [], [{}]]:
        response = await api.post(INVOKE, CATS | {"config": config})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response) == [["config"]]


async def test_the_requests_content_type_is_not_looked_at(api, joke):
    for content_type in [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ]:
        response = await api.post(INVOKE, CATS, content_type=content_type)

        assert response.json()["output"] == "cats"


async def test_the_accept_header_is_not_looked_at(api, joke):
    for accept in ["text/event-stream", "text/html", "image/png;q=0.1", "garbage"]:
        response = await api.post(INVOKE, CATS, Accept=accept)

        assert response.json()["output"] == "cats"


@pytest.mark.parametrize("ref", ["joke", "joke@production", "joke@latest", "joke@1"])
async def test_a_version_is_named_by_label_or_number(api, joke, ref):
    response = await api.post(f"/chains/{ref}/invoke", CATS)

    assert response.headers["X-ChainHub-Version"] == "joke@1"


async def test_a_label_leads_to_its_own_version(api, joke):
    await sync_to_async(add_chain)("joke", step(extra={"reply": "new"}))

    old, new = [(await api.post(f"/chains/joke@{ref}/invoke", CATS)).json() for ref in (1, "production")]

    assert (old["output"], new["output"]) == ("cats", "new")


async def test_an_lc_object_in_the_input_is_data(api, demo, settings):
    await sync_to_async(add_prompt)("chat", messages=[{"placeholder": "history"}])
    await sync_to_async(add_chain)("chat", step("chat"))
    secret = {"lc": 1, "type": "secret", "id": ["SECRET_KEY"]}

    response = await api.post("/chains/chat/invoke", {"input": {"history": [secret]}})

    assert is_error(response, 422, "invalid_input")
    assert settings.SECRET_KEY not in response.text


async def test_an_lc_object_in_the_answer_is_data(api, poem, upstream):
    prompt = {"lc": 1, "type": "secret", "id": ["SECRET_KEY"]}
    await sync_to_async(add_chain)("poem", over_http("poem", parser={"kind": "json"}))
    upstream.script(answers('{"lc": 1, "type": "secret", "id": ["SECRET_KEY"]}'))

    response = await api.post("/chains/poem/invoke", CATS)

    assert response.json()["output"] == prompt


async def test_a_template_in_the_input_is_text(api, joke):
    response = await api.post(INVOKE, {"input": {"topic": "{x}{topic}{topic.__class__}"}})

    assert response.json()["output"] == "{x}{topic}{topic.__class__}"


# --- Input that does not fit -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "loc"),
    [({}, ["topic"]), ({"topic": 3}, ["topic"]), ({"topic": None}, ["topic"]), ({"Topic": "x"}, ["topic"])],
)
async def test_a_missing_or_mistyped_variable_is_named(api, joke, value, loc):
    response = await api.post(INVOKE, {"input": value})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [loc]
    assert "topic" in response.json()["message"]


async def test_every_fault_is_named_at_once(api, demo):
    await sync_to_async(add_prompt)("joke", "{topic} in {language}, {count}")
    await sync_to_async(add_chain)("joke", step())

    response = await api.post(INVOKE, {"input": {"language": 1}})

    assert sorted(fields_at_fault(response)) == [["count"], ["language"], ["topic"]]


async def test_an_input_of_another_kind_is_refused(api, joke):
    for value in [None, "cats", 3, [], ["topic"], True]:
        response = await api.post(INVOKE, {"input": value})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response) == [[]]


async def test_a_body_without_an_input_is_refused(api, joke):
    response = await api.post(INVOKE, {"inputs": []})

    assert is_error(response, 422, "invalid_input")
    assert fields_at_fault(response) == [["input"]]


async def test_messages_of_an_unknown_form_are_refused(api, demo):
    await sync_to_async(add_prompt)("chat", messages=[{"placeholder": "history"}])
    await sync_to_async(add_chain)("chat", step("chat"))

    for history in [
        [{"role": "user", "content": "hi"}],
        [["human", "hi"]],
        ["hi"],
        [{"type": "tool", "content": "hi"}],
        [{"type": "human", "content": 3}],
        "hi",
    ]:
        response = await api.post("/chains/chat/invoke", {"input": {"history": history}})

        assert is_error(response, 422, "invalid_input")
        assert fields_at_fault(response)[0][0] == "history"


async def test_messages_of_langserves_form_reach_the_model(api, demo):
    await sync_to_async(add_prompt)("chat", messages=[{"placeholder": "history"}])
    await sync_to_async(add_chain)("chat", step("chat"))
    message = {"content": "hi", "additional_kwargs": {}, "type": "human", "name": None, "id": None}

    response = await api.post("/chains/chat/invoke", {"input": {"history": [message]}})

    assert response.json()["output"] == "hi"


async def test_a_refused_input_leaves_no_run(api, joke):
    await api.post(INVOKE, {"input": {}})

    assert not await Run.objects.aexists()


# --- Sessions ----------------------------------------------------------------------------------


@pytest.fixture
async def alices_page(shared_db, alice):
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(alice)
    return client


TOKEN = "c" * 32
FORM = "application/x-www-form-urlencoded"


async def from_page(client, body=CATS, content_type="application/json", **headers):
    return await client.post(INVOKE, body, content_type=content_type, headers=headers)


async def test_a_session_with_its_csrf_token_may_run(alices_page, joke, alice):
    alices_page.cookies["csrftoken"] = TOKEN

    response = await from_page(alices_page, **{"X-CSRFToken": TOKEN})

    assert response.json()["output"] == "cats"
    run = await Run.objects.aget()
    assert (run.user_id, run.key_id) == (alice.pk, None)


@pytest.mark.parametrize("headers", [{}, {"X-CSRFToken": "d" * 32}, {"X-CSRFToken": ""}])
async def test_a_session_without_its_csrf_token_may_not_run(alices_page, joke, headers):
    alices_page.cookies["csrftoken"] = TOKEN

    response = await from_page(alices_page, **headers)

    assert is_error(response, 403, "csrf_failed")
    assert not await Run.objects.aexists()


async def test_a_foreign_page_may_not_run_with_a_session(alices_page, joke):
    alices_page.cookies["csrftoken"] = TOKEN

    response = await from_page(alices_page, Origin="https://evil.example", **{"X-CSRFToken": TOKEN})

    assert is_error(response, 403, "csrf_failed")


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"],
)
async def test_a_sessions_content_type_is_not_looked_at_either(alices_page, joke, content_type):
    alices_page.cookies["csrftoken"] = TOKEN
    body = b'{"input": {"topic": "cats"}, "more": "' + b"&" * 2000 + b'"}'

    response = await from_page(alices_page, body, content_type, **{"X-CSRFToken": TOKEN})

    assert response.json()["output"] == "cats"


async def test_a_sessions_body_may_be_no_larger_than_a_keys(alices_page, joke, settings):
    alices_page.cookies["csrftoken"] = TOKEN
    body = b" " * (settings.MAX_BODY_BYTES + 1)

    response = await from_page(alices_page, body, FORM, **{"X-CSRFToken": TOKEN})

    assert is_error(response, 413, "body_too_large")


async def test_a_csrf_token_in_the_body_does_not_count(alices_page, joke):
    alices_page.cookies["csrftoken"] = TOKEN

    response = await from_page(alices_page, f"csrfmiddlewaretoken={TOKEN}".encode(), FORM)

    assert is_error(response, 403, "csrf_failed")
