"""Pages of other origins call the API with a key of their own."""

import pytest
from django.conf import settings
from django.test import AsyncClient

OURS, FOREIGN = settings.ALLOWED_ORIGINS[0], "https://evil.example"
INVOKE = "/chains/joke/invoke"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def about_access(response) -> dict[str, str]:
    return {k.lower(): v for k, v in response.headers.items() if k.lower().startswith("access-control")}


async def preflight(path: str, origin: str):
    return await AsyncClient().options(path, headers={"Origin": origin, **PREFLIGHT})


@pytest.mark.parametrize("path", [INVOKE, "/chains/joke/stream", "/chains/joke/feedback", "/api/v1/runs/"])
async def test_a_page_of_an_allowed_origin_may_ask(path):
    response = await preflight(path, OURS)

    told = about_access(response)
    allowed = {name.strip() for name in told["access-control-allow-headers"].split(",")}
    assert response.status_code == 200
    assert told["access-control-allow-origin"] == OURS
    assert {"authorization", "x-api-key", "content-type", "x-request-id"} <= allowed
    assert "POST" in told["access-control-allow-methods"]


@pytest.mark.parametrize("origin", [FOREIGN, "null", f"{OURS}.evil.example", OURS.replace("http:", "https:")])
async def test_a_page_of_another_origin_may_not(origin):
    assert about_access(await preflight(INVOKE, origin)) == {}


@pytest.mark.parametrize("path", ["/admin/", "/account/", "/healthz", "/static/x", "/openapi.json"])
async def test_only_the_api_is_open_to_other_origins(path, db):
    assert about_access(await preflight(path, OURS)) == {}


async def test_an_answer_may_be_read_with_the_headers_that_name_its_run(api, joke):
    response = await api.post(INVOKE, {"input": {"topic": "cats"}}, Origin=OURS)

    told = about_access(response)
    assert told["access-control-allow-origin"] == OURS
    assert "x-chainhub-run-id" in told["access-control-expose-headers"]
    assert "origin" in response.headers["Vary"].lower()


async def test_cookies_never_cross_origins(api, joke):
    for response in (
        await preflight(INVOKE, OURS),
        await api.post(INVOKE, {"input": {"topic": "cats"}}, Origin=OURS),
    ):
        assert "access-control-allow-credentials" not in about_access(response)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (INVOKE, {}, 422),
        (INVOKE, b"x", 422),
        ("/chains/nope/invoke", {"input": {}}, 404),
        ("/chains/joke/c/garbage/invoke", {"input": {}}, 400),
        ("/api/v1/runs/", {}, 405),
    ],
)
async def test_an_error_may_be_read_too(api, joke, path, body, status):
    response = await api.post(path, body, Origin=OURS)

    assert response.status_code == status
    assert about_access(response)["access-control-allow-origin"] == OURS
    assert "message" in response.json() or "detail" in response.json()


async def test_a_refused_credential_may_be_read_too(anonymous):
    response = await anonymous.post(INVOKE, {}, Origin=OURS)

    assert (response.status_code, about_access(response)["access-control-allow-origin"]) == (401, OURS)


async def test_another_origin_gets_an_answer_that_its_page_cannot_read(api, joke):
    response = await api.post(INVOKE, {"input": {"topic": "cats"}}, Origin=FOREIGN)

    assert about_access(response) == {}
