"""Providers of the kind ``openai``: any endpoint that speaks OpenAI's chat completions."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai
from pydantic import BaseModel

from chains.runtime import errors
from chains.runtime.errors import Told
from chains.runtime.providers.completions_model import endpoint, over_completions, over_responses
from chains.runtime.providers.failures import failed_connection, judged, retry_after_s, told_in
from chains.runtime.providers.habits import NEWER_NAME_HOSTS
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig


def build(target: PlanTarget, params: ModelParams) -> ChatModel:
    base_url = target.provider.base_url
    habits = target.habits_at(base_url)
    headers = _headers(target.provider, base_url)
    if habits.api == "responses":
        return over_responses(target, params, habits, base_url=base_url, headers=headers)
    url = address(base_url, "chat/completions")
    return over_completions(target, params, habits, url=url, headers=headers)


async def models(provider: ProviderConfig) -> list[str]:
    """The names in the provider's list of models; raises ProviderError, and aiohttp's exceptions."""
    base_url = provider.base_url
    return await endpoint(provider, address(base_url, "models"), _headers(provider, base_url)).models()


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
    return bool(NEWER_NAME_HOSTS.search(host)) and not host.endswith("openai.com")


# --- Failures ----------------------------------------------------------------------------------


def translate(error: Exception) -> errors.ProviderError:
    """The ProviderError for an exception of the SDK, of aiohttp, or of decoding an answer.

    Any other exception of a model call is the provider's fault too: json.JSONDecodeError for garbage in a
    stream, a plain ValueError for an HTML page.
    """
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return errors.ProviderTimeout()
    if isinstance(error, openai.APIStatusError):
        headers = error.response.headers
        return judged(told_in(error.body, error.status_code), retry_after_s=retry_after_s(headers))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # The proxy in between refused the connection, for example with 407.
        return judged(Told(status=error.status, message=f"The proxy: {error.message}"))
    if isinstance(error, aiohttp.ClientConnectorError):
        return errors.ProviderUnreachable()
    if isinstance(
        error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    ):
        return errors.ProviderCut()
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError):
        return errors.ProviderGarbage()
    if found := failed_connection(error):
        return found
    if isinstance(error, openai.APIConnectionError):
        return errors.ProviderUnreachable()
    if isinstance(error, openai.APIError):
        # An error event inside a stream.
        return judged(told_in(error.body or str(error)))
    if type(error) is ValueError and error.args and (told := _told_by(error.args[0])):
        return judged(told)
    return errors.ProviderGarbage()


# The failure of a response as text: the object of the SDK, or its code and message.
FAILED_RESPONSE = re.compile(
    r"""ResponseError\(code='(\w+)',\ message=(?P<quote>['"])(.*?)(?P=quote)[,)] | ([a-z_]+):\ (.*)""",
    re.DOTALL | re.VERBOSE,
)


def _told_by(raised: Any) -> Told | None:
    """langchain-openai raises an error object in place of an answer as a ValueError, mostly as its text."""
    if isinstance(raised, BaseModel):
        raised = raised.model_dump()
    if isinstance(raised, dict):
        return told_in(raised)
    if isinstance(raised, str) and (found := FAILED_RESPONSE.match(raised)):
        return Told(code=found[1] or found[4], message=found[3] or found[5] or "")
    return None
