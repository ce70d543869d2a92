"""What clients are told of what went wrong: one table, two dialects, no secrets."""

import json

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from chains.models import Chain, Run
from tests.api.conftest import JSON, SAME_ID, frames, is_error, sent, without
from tests.conftest import add_chain, free_port, over_http
from tests.upstream import answers, cut, fails, garbage, html, rate_limited, silent

POEM = {"input": {"topic": "x"}}
CANARY = "sk-test-CANARY-0123456789"


# --- Not found ---------------------------------------------------------------------------------


@pytest.fixture
def hidden(joke) -> list[str]:
    """Refs that alice may not run, for each reason there is."""
    add_chain("disabled", *joke.latest().spec["steps"])
    Chain.objects.filter(slug="disabled").update(enabled=False)
    add_chain("private", *joke.latest().spec["steps"])
    Chain.objects.filter(slug="private").update(access=Chain.Access.GROUPS)
    unpublished = Chain.objects.create(slug="unpublished")
    unpublished.save_spec(joke.latest().parsed, author=None)
    Chain.objects.create(slug="empty")
    numbers = ["joke@0", "joke@2", "joke@01x", "joke@999999999999999999999"]
    return [
        "nope",
        "joke@nope",
        "joke@staging",
        *numbers,
        "disabled",
        "disabled@1",
        "private",
        "private@latest",
        "unpublished",
        "empty@latest",
        "Joke",
        "joke@",
        "joke@1@2",
        "joke.",
        "x" * 64,
        "x" * 65,
        "x" * 5000,
    ]


ENDPOINTS = [("POST", "invoke"), ("POST", "batch"), ("POST", "stream")]
ENDPOINTS += [("GET", f"{kind}_schema") for kind in ("input", "output", "config")]


async def test_what_one_may_not_run_is_not_found_whatever_the_reason(api, hidden):
    answers = {}
    for method, endpoint in ENDPOINTS:
        for ref in hidden:
            body = b'{"input": {"topic": "x"}, "inputs": []}'
            response = await api.client.generic(
                method, f"/chains/{ref}/{endpoint}", body, content_type=JSON, headers=api.headers | SAME_ID
            )
            assert is_error(response, 404, "not_found"), (ref, endpoint)
            answers[ref, endpoint] = response.content, without(response.headers, "Allow", "Content-Length")

    assert len({str(answer) for answer in answers.values()}) == 1
    assert not await Run.objects.aexists()


# --- Methods and paths -------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_run_routes_only_take_post(db, method, endpoint):
    response = Client().generic(method, f"/chains/joke/{endpoint}")

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert method == "HEAD" or is_error(response, 405, "method_not_allowed")


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_schema_routes_only_take_get(db, method):
    response = Client().generic(method, "/chains/joke/input_schema")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/api/v1/runs/", "/api/v1/chains/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_resources_are_only_read(alice_key, method, path):
    response = Client().generic(method, path, b"{}", content_type=JSON, headers={"X-API-Key": alice_key})

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream", "input_schema"])
def test_there_is_no_second_address_with_a_slash(alice_key, endpoint):
    for method in ("GET", "POST"):
        response = Client().generic(
            method, f"/chains/joke/{endpoint}/", b"{}", headers={"X-API-Key": alice_key}
        )
        assert is_error(response, 404, "not_found")


# --- The provider's faults ---------------------------------------------------------------------

FAULTS = {
    "key refused": (fails(401), 502, "provider_auth_failed"),
    "forbidden": (fails(403), 502, "provider_auth_failed"),
    "key refused, and repeated": (
        fails(401, message="Incorrect API key provided: {key}"),
        502,
        "provider_auth_failed",
    ),
    "unknown model": (fails(404), 502, "provider_refused"),
    "refused, key repeated": (fails(422, message="Your key is {key}", code="x"), 502, "provider_refused"),
    "too long": (fails(400, code="context_length_exceeded"), 422, "context_too_long"),
    "no credit": (rate_limited(retry_after=None, code="insufficient_quota"), 503, "provider_rate_limited"),
    "too fast": (rate_limited(retry_after="3600"), 503, "provider_rate_limited"),
    "no JSON": (garbage(), 502, "provider_garbage"),
    "other JSON": (garbage('{"foo": 1}'), 502, "provider_garbage"),
    "a web page": (html(), 502, "provider_garbage"),
    "cut": (cut(after_chunks=1), 502, "provider_cut"),
}


@pytest.mark.parametrize(("fault", "status", "code"), FAULTS.values(), ids=FAULTS)
async def test_a_providers_fault_is_told_by_status_and_code(api, poem, upstream, fault, status, code):
    upstream.script(*[fault] * 3)

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, status, code)
    assert "WWW-Authenticate" not in response.headers


async def test_a_provider_that_fails_again_and_again_is_a_bad_gateway(api, poem, upstream):
    upstream.script(*[fails(500)] * 3)

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, 502, "provider_failed")
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(("path", "body"), [("invoke", POEM), ("batch", {"inputs": [POEM["input"]]})])
async def test_a_failed_answer_names_its_run_and_versions(api, poem, upstream, path, body):
    upstream.script(fails(401))

    response = await api.post(f"/chains/poem/{path}", body)

    run = await Run.objects.aget()
    assert (run.status, response.json()["run_id"]) == ("failed", str(run.pk))
    assert response.headers["X-ChainHub-Run-ID"] == str(run.pk)
    assert response.headers["X-ChainHub-Version"] == "poem@1"
    assert response.headers["X-ChainHub-Prompts"] == "poem@1"


async def test_an_answer_without_a_run_names_none(api, poem):
    response = await api.post("/chains/poem/invoke", {"input": 3})

    assert is_error(response, 422, "invalid_input")
    assert "run_id" not in response.json()


async def test_a_provider_that_is_too_slow_is_a_gateway_timeout(api, poem, openai, upstream):
    openai.answer_timeout_s = 0.2
    await openai.asave()
    upstream.script(silent())

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, 504, "provider_timeout")


async def test_a_run_that_is_too_long_is_a_gateway_timeout(api, poem, openai, upstream):
    openai.run_timeout_s = 0.2
    await openai.asave()
    upstream.script(silent())

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, 504, "run_timeout")


async def test_a_provider_that_is_not_there_is_a_bad_gateway(api, poem, openai):
    openai.base_url = f"http://127.0.0.1:{free_port()}/v1"
    await openai.asave()

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, 502, "provider_unreachable")
    assert openai.base_url not in response.text


async def test_an_answer_of_another_form_is_a_bad_gateway(api, poem, upstream):
    await sync_to_async(add_chain)("poem", over_http("poem", parser={"kind": "json"}))
    upstream.script(answers("no json"))

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, 502, "output_invalid")


@pytest.mark.parametrize(("wait", "told"), [("3600", "120"), ("100.4", "100")])
async def test_a_client_is_told_when_to_come_back_but_never_in_an_hour(
    api, poem, openai, upstream, wait, told
):
    openai.run_timeout_s = 20
    await openai.asave()
    upstream.script(rate_limited(retry_after=wait))

    response = await api.post("/chains/poem/invoke", POEM)

    assert response.headers["Retry-After"] == told


async def test_a_chain_that_cannot_run_says_so_without_inner_parts(api, poem, openai):
    openai.enabled = False
    await openai.asave()

    response = await api.post("/chains/poem/invoke", POEM)

    assert is_error(response, 503, "invalid_spec")
    assert "openai" not in response.text


# --- Secrets -----------------------------------------------------------------------------------

LEAKY = {
    "401": fails(401, message="Incorrect API key provided: {key}. Host db.internal"),
    "400": fails(400, message="key {key}", code="{key}"),
    "404": fails(404, message="key {key}"),
    "garbage": garbage(f'{{"key": "{CANARY}"}}'),
}


@pytest.mark.parametrize("fault", LEAKY.values(), ids=LEAKY)
async def test_no_body_holds_the_providers_key_or_the_callers(api, poem, upstream, fault, caplog):
    upstream.script(*[fault] * 12)
    key = api.headers["Authorization"].removeprefix("Bearer ")

    invoked = await api.post("/chains/poem/invoke", POEM)
    streamed = await api.post("/chains/poem/stream", POEM)
    told = invoked.content + await sent(streamed)
    listed = (await api.get("/api/v1/runs/")).content

    for secret in (CANARY, CANARY[-8:], key):
        assert secret.encode() not in told + listed
        assert secret not in caplog.text
    # What the provider said is for the operator: it stands in the log only.
    assert b"db.internal" not in told + listed
    assert frames(told[len(invoked.content) :])[-1][0] == "error"


# --- Problem details ---------------------------------------------------------------------------


def test_a_resources_error_is_problem_details(alice_key):
    response = Client().get("/api/v1/chains/nope/", headers={"X-API-Key": alice_key, "X-Request-ID": "abc-1"})

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(response.content) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not found.",
        "code": "not_found",
        "instance": "/api/v1/chains/nope/",
        "request_id": "abc-1",
    }


@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/api/v1/nope", "/api/v2/runs/", "/api/v1/runs"])
def test_an_unknown_resource_is_problem_details_too(client, db, path):
    response = client.get(path)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
