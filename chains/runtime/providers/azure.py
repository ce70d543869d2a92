"""Providers of the kind ``azure``: OpenAI's API on Azure, addressed by deployments and an ``api-version``.

Addresses: Azure OpenAI's REST API reference (data plane, inference), "Azure OpenAI v1 API", "Azure AI Model
Inference". The step's model is the name of the deployment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit

from chains.runtime.providers import openai
from chains.runtime.providers.openai_models import over_completions, over_responses
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig

# The latest version of the inference API that is generally available; and the version of the API for all
# models of Foundry, as its documentation uses it. The v1 API has none.
API_VERSION = "2024-10-21"
MODELS_API_VERSION = "2024-05-01-preview"
# A gateway may itself have "/openai" in its path; the last one before Azure's own path counts.
OPENAI_PATH = re.compile(r"(?P<before>.*?)/openai/(?P<after>(?!openai/).*)")

translate = openai.translate


def build(target: PlanTarget, params: ModelParams) -> ChatModel:
    provider = target.provider
    place = place_of(provider.base_url)
    habits = target.habits_at(provider.base_url, token_limit=place.token_limit)
    if habits.api == "responses":
        url = openai.address(place.responses_base, "responses")
        return over_responses(target, params, habits, url=url, headers=_headers(provider))
    url = place.completions(target.model)
    return over_completions(target, params, habits, url=url, headers=_headers(provider))


def _headers(provider: ProviderConfig) -> Mapping[str, str]:
    """A provider without a key has its credential in its further headers, such as a token of Entra ID."""
    key = provider.api_key.get_secret_value()
    return {"api-key": key} if key else {}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an API of Azure is: ``root`` is the address before what Azure adds, ``query`` begins with "?".

    ``api`` says which one: that of deployments, ``v1``, that of Foundry's ``models``, or the ``complete``
    address that a gateway with paths of its own has.
    """

    api: str
    root: str
    query: str

    @property
    def token_limit(self) -> str:
        """The name of the token limit that this API documents."""
        return "max_tokens" if self.api == "models" else "max_completion_tokens"

    def completions(self, deployment: str) -> str:
        """The address for chat completions by this deployment."""
        path = {
            "deployments": f"/openai/deployments/{quote(deployment, safe='')}/chat/completions",
            "v1": "/openai/v1/chat/completions",
            "models": "/models/chat/completions",
            "complete": "",
        }[self.api]
        return self.root + path + self.query

    @property
    def responses_base(self) -> str:
        """What ``/responses`` is under: the v1 API, because the others serve it in previews only."""
        if self.api == "complete":
            return self.root.removesuffix("/chat/completions") + self.query
        return f"{self.root}/openai/v1{self.query if self.api == 'v1' else ''}"


def place_of(endpoint: str) -> Place:
    """What is behind an endpoint as Azure's portal shows it: a resource, or any address below one."""
    parts = urlsplit(endpoint)
    before = parts.path.rstrip("/")
    if openai_path := OPENAI_PATH.match(f"{before}/"):
        before, api = openai_path["before"], "v1" if openai_path["after"].startswith("v1/") else "deployments"
    elif before.removesuffix("/chat/completions").endswith("/models"):
        api, before = "models", before.removesuffix("/chat/completions").removesuffix("/models")
    elif before.endswith("/chat/completions"):
        api = "complete"
    else:
        api, before = "deployments", _without_project(before)
    return Place(api=api, root=f"{parts.scheme}://{parts.netloc}{before}", query=_query(parts.query, api))


def _without_project(path: str) -> str:
    """A project of Foundry has no deployments of its own: its resource serves them."""
    before, projects, name = path.partition("/api/projects/")
    return before if projects and "/" not in name else path


def _query(query: str, api: str) -> str:
    """The query with an ``api-version``, where this API has one."""
    versions = {"deployments": API_VERSION, "models": MODELS_API_VERSION}
    if api in versions and "api-version" not in dict(parse_qsl(query)):
        query = f"{query}&api-version={versions[api]}".lstrip("&")
    return f"?{query}" if query else ""
