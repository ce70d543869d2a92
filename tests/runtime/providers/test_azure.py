"""Providers of the kind ``azure``, beside the real AzureChatOpenAI."""

import pytest
from langchain_openai import AzureChatOpenAI
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.providers.azure import API_VERSION, place_of
from tests.runtime.helpers import BOTH, KEY, plan, run, step, target
from tests.upstream import HELLO, Upstream, answers, cut, fails, rate_limited

GIVEN = "api-version=2025-01-01-preview"


def on_azure(upstream: Upstream, path: str = "", **data):
    return target(kind="azure", base_url=upstream.url + path, model="my-gpt", **data)


def addressed(request) -> tuple[str, str, str | None, str | None]:
    headers = request.headers
    return request.method, request.path, headers.get("api-key"), headers.get("authorization")


@BOTH
@pytest.mark.parametrize(
    ("pasted", "endpoint", "version"),
    [
        ("", "", API_VERSION),
        ("/", "", API_VERSION),
        ("/openai/", "", API_VERSION),
        (f"?{GIVEN}", "", "2025-01-01-preview"),
        ("/openai/deployments/my-gpt", "", API_VERSION),
        (f"/openai/deployments/my-gpt/chat/completions?{GIVEN}", "", "2025-01-01-preview"),
        (f"/openai/deployments/another/chat/completions?{GIVEN}", "", "2025-01-01-preview"),
        (f"/openai/responses?{GIVEN}", "", "2025-01-01-preview"),
        ("/gateway", "/gateway", API_VERSION),
        (f"/gateway/openai/deployments/my-gpt/chat/completions?{GIVEN}", "/gateway", "2025-01-01-preview"),
        ("/openai/openai/deployments/my-gpt", "/openai", API_VERSION),
        ("/api/projects/mine", "", API_VERSION),
    ],
)
async def test_a_request_is_addressed_as_by_azure_chat_openai(upstream, pasted, endpoint, version, streaming):
    theirs = AzureChatOpenAI(
        azure_endpoint=upstream.url + endpoint,
        azure_deployment="my-gpt",
        api_version=version,
        api_key=SecretStr(KEY),
    )

    ran = await run(plan(step(on_azure(upstream, pasted))), streaming=streaming)
    await theirs.ainvoke("cats")

    ours, other = upstream.requests
    assert ran.output == HELLO
    assert addressed(ours) == addressed(other)
    assert addressed(ours)[2:] == (KEY, None)


@pytest.mark.parametrize(
    ("pasted", "path"),
    [
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/openai/v1/", "/openai/v1/chat/completions"),
        ("/openai/v1/?api-version=preview", "/openai/v1/chat/completions?api-version=preview"),
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/openai/v1/responses", "/openai/v1/chat/completions"),
        ("/gateway/openai/v1", "/gateway/openai/v1/chat/completions"),
        (f"/models/chat/completions?{GIVEN}", f"/models/chat/completions?{GIVEN}"),
        (f"/models?key=a&{GIVEN}", f"/models/chat/completions?key=a&{GIVEN}"),
        ("/models", "/models/chat/completions?api-version=2024-05-01-preview"),
        ("/own/chat/completions?a=b", "/own/chat/completions?a=b"),
    ],
)
async def test_the_other_apis_of_azure_take_the_deployment_in_the_body(upstream, pasted, path):
    await run(plan(step(on_azure(upstream, pasted))))

    (request,) = upstream.requests
    assert addressed(request) == ("POST", path, KEY, None)
    assert request.body["model"] == "my-gpt"


@pytest.mark.parametrize(
    "host",
    [
        "res.openai.azure.com",
        "res.openai.azure.us",
        "res.openai.azure.cn",
        "res.cognitiveservices.azure.com",
        "res.services.ai.azure.com",
        "api.example.com:8443",
    ],
)
def test_every_host_is_kept(host):
    (address,) = {
        place_of(f"https://{host}{path}").completions("a b/c")
        for path in ("", "/", "/openai", "/openai/deployments/other/chat/completions")
    }

    assert address == (
        f"https://{host}/openai/deployments/a%20b%2Fc/chat/completions?api-version={API_VERSION}"
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [("", "max_completion_tokens"), ("/models", "max_tokens"), ("/openai/v1", "max_completion_tokens")],
)
async def test_the_token_limit_has_the_name_of_the_api(upstream, path, name):
    await run(plan(step(on_azure(upstream, path), max_tokens=9)))

    sent = upstream.requests[0].body
    assert {limit: sent[limit] for limit in ("max_tokens", "max_completion_tokens") if limit in sent} == {
        name: 9
    }


async def test_a_credential_in_a_further_header_goes_alone(upstream):
    headers = {"Authorization": "Bearer entra-token"}

    await run(plan(step(on_azure(upstream, api_key=SecretStr(""), headers=headers))))

    assert addressed(upstream.requests[0])[2:] == (None, "Bearer entra-token")


async def test_a_model_for_responses_only_is_asked_through_the_v1_api(upstream):
    asked = on_azure(upstream, f"/openai/deployments/my-gpt?{GIVEN}", habits={"api": "responses"})

    upstream.script(fails(404))
    with pytest.raises(errors.ProviderRefused):
        await run(plan(step(asked)))

    assert addressed(upstream.requests[0])[:3] == ("POST", "/openai/v1/responses", KEY)


async def test_an_endpoint_has_to_be_there():
    with pytest.raises(errors.InvalidSpec, match="needs an endpoint"):
        await run(plan(step(target(kind="azure", model="my-gpt"))))


FAULTS = {
    "401": (fails(401, "Access denied due to invalid subscription key.", code="401"), "provider_auth_failed"),
    "404": (fails(404, "The API deployment does not exist.", code="DeploymentNotFound"), "provider_refused"),
    "too long": (fails(400), "context_too_long"),
    "filtered": (fails(400, "The response was filtered.", code="content_filter"), "provider_refused"),
    "429": (rate_limited("3600"), "provider_rate_limited"),
    "cut": (cut(2), "provider_cut"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_failures_have_the_same_codes(upstream, fault):
    behaviour, code = FAULTS[fault]
    upstream.script(behaviour)

    with pytest.raises(errors.ProviderError) as caught:
        await run(plan(step(on_azure(upstream))))

    assert caught.value.code == code


@BOTH
async def test_tokens_are_counted(upstream, streaming):
    upstream.script(answers("One two three"))

    ran = await run(plan(step(on_azure(upstream))), streaming=streaming)

    assert (ran.calls[0].usage.input_tokens, ran.calls[0].usage.output_tokens) == (1, 3)
