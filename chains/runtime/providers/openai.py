"""Providers of the kind ``openai``: any endpoint that speaks OpenAI's chat completions."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import openai

from chains.runtime import errors
from chains.runtime.providers.endpoint import failed_request
from chains.runtime.providers.failures import failed_connection, judged, retry_after_s, told_in
from chains.runtime.providers.habits import AZURE_HOSTS
from chains.runtime.providers.openai_models import over_completions, over_responses
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig
from chains.runtime.providers.wiremodel import endpoint_at


def build(target: PlanTarget, params: ModelParams) -> ChatModel:
    base_url = target.provider.base_url
    habits = target.habits_at(base_url)
    headers = _headers(target.provider, base_url)
    if habits.api == "responses":
        return over_responses(target, params, habits, url=address(base_url, "responses"), headers=headers)
    url = address(base_url, "chat/completions")
    return over_completions(target, params, habits, url=url, headers=headers)


async def models(provider: ProviderConfig) -> list[str]:
    """The names in the provider's list of models; raises ProviderError, and aiohttp's exceptions."""
    base_url = provider.base_url
    return await endpoint_at(provider, address(base_url, "models"), _headers(provider, base_url)).models()


def address(base_url: str, path: str) -> str:
    """The address of ``path`` under an endpoint, whose query stays at the end."""
    base, question, query = base_url.partition("?")
    return f"{base.rstrip('/')}/{path}{question}{query}"


def _headers(provider: ProviderConfig, base_url: str) -> Mapping[str, str]:
    key = provider.api_key.get_secret_value() or "none"
    return {"Authorization": f"Bearer {key}"} | ({"api-key": key} if is_azure(base_url) else {})


def is_azure(base_url: str) -> bool:
    """Whether the host is one of Azure's, which take a key in a header of its own."""
    host = urlsplit(base_url).hostname or ""
    return bool(AZURE_HOSTS.search(host))


# --- Failures ----------------------------------------------------------------------------------


def translate(error: Exception) -> errors.ProviderError:
    """The ProviderError for an exception of aiohttp, or of the SDK, which chains in code may use.

    Any other exception of a model call is the provider's fault too.
    """
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return errors.ProviderTimeout()
    if isinstance(error, openai.APIStatusError):
        headers = error.response.headers
        return judged(told_in(error.body, error.status_code), retry_after_s=retry_after_s(headers))
    if isinstance(error, openai.APIResponseValidationError):
        return errors.ProviderGarbage()
    if found := failed_connection(error):
        return found
    if isinstance(error, openai.APIConnectionError):
        return errors.ProviderUnreachable()
    if isinstance(error, openai.APIError):
        # An error event inside a stream.
        return judged(told_in(error.body or str(error)))
    return failed_request(error)
