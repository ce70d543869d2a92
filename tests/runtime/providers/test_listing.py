"""The names of a provider's models."""

import json
from dataclasses import replace

import pytest
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.providers import KINDS
from chains.runtime.providers.listing import MAX_MODELS, models_of
from chains.runtime.providers.reach import ProviderConfig, cut_to_base
from tests.upstream.behaviours import Plain, Silence

KEY = "sk-test-CANARY-0123456789"


def provider(upstream, **data):
    config = {"slug": "openai", "kind": "openai", "base_url": upstream.base_url, "api_key": SecretStr(KEY)}
    return ProviderConfig(**{**config, **data})


async def test_the_list_is_asked_for_with_the_key_and_further_headers(upstream):
    upstream.models = ["a", "b"]

    names = await models_of(provider(upstream, headers={"X-Team": "blue"}), within_s=5)

    (request,) = upstream.requests
    assert names == ["a", "b"]
    assert (request.method, request.path, request.key) == ("GET", "/v1/models", KEY)
    assert request.headers["x-team"] == "blue"


@pytest.mark.parametrize("path", ["", "/v1", "/v1/messages"])
async def test_claudes_models_are_listed_in_its_own_words(upstream, path):
    pytest.importorskip("langchain_anthropic")
    upstream.models = ["claude-x"]

    known = provider(upstream, kind="anthropic", base_url=upstream.url + path)
    names = await models_of(known, within_s=5)

    (request,) = upstream.requests
    assert (names, request.path, request.headers["x-api-key"]) == (["claude-x"], "/v1/models", KEY)
    assert "anthropic-version" in request.headers
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"models": [{"name": "llama3"}, {"id": "b", "name": "c"}]}, ["llama3", "b"]),
        ([{"id": "a"}, "b", 3, None, {"id": 7}, {"id": ""}], ["a", "b"]),
        (
            {"object": "list", "data": [{"id": str(n)} for n in range(600)]},
            [str(n) for n in range(MAX_MODELS)],
        ),
    ],
)
async def test_lists_of_other_servers_are_read_too(upstream, body, names):
    upstream.models = Plain(200, json.dumps(body))

    assert await models_of(provider(upstream), within_s=5) == names


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Plain(200, "<h1>Sign in</h1>", "text/html"), errors.ProviderGarbage),
        (Plain(200, '{"object": "list"}'), errors.ProviderGarbage),
        (Plain(200, json.dumps(["x" * 5_000_000])), errors.ProviderGarbage),
        (Plain(200, '{"error": {"message": "down", "code": 500}}'), errors.ProviderFailed),
        (Plain(302, "", headers=(("location", "http://127.0.0.1:1/"),)), errors.ProviderGarbage),
        (Plain(404, "{}"), errors.ProviderRefused),
    ],
)
async def test_a_list_that_is_none_is_the_providers_error(upstream, behaviour, error):
    upstream.models = behaviour

    with pytest.raises(error):
        await models_of(provider(upstream), within_s=5)


async def test_what_a_refusal_tells_has_no_secret(upstream):
    upstream.models = Plain(401, json.dumps({"error": {"message": f"Bad key {KEY} of team blue-blue"}}))

    with pytest.raises(errors.ProviderAuthFailed) as caught:
        await models_of(provider(upstream, headers={"X-Team": "blue-blue"}), within_s=5)
    assert caught.value.told.message == "Bad key … of team …"


async def test_a_list_that_does_not_come_is_waited_for_no_longer_than_said(upstream):
    upstream.models = Silence()

    with pytest.raises(errors.ProviderTimeout):
        await models_of(provider(upstream), within_s=0.05)


async def test_the_demo_lists_its_models():
    demo = ProviderConfig(slug="demo", kind="demo", api_key=SecretStr(""))

    assert await models_of(demo, within_s=5) == ["demo-coach", "demo-echo"]


async def test_a_kind_that_cannot_list_its_models_says_so():
    KINDS["plain"] = replace(KINDS["demo"], module="tests.runtime.providers.plain")
    try:
        plain = ProviderConfig(slug="plain", kind="plain", api_key=SecretStr(""))
        assert await models_of(plain, within_s=5) is None
    finally:
        del KINDS["plain"]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://m.example/models", "https://m.example"),
        ("https://m.example/v1/models/v2", "https://m.example/v1/models/v2"),
        (" https://m.example// ", "https://m.example"),
        ("", ""),
    ],
)
def test_a_base_url_is_what_stands_before_the_paths_of_an_api(url, base):
    assert cut_to_base(url) == base
