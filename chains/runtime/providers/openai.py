"""Providers of the kind ``openai``: any OpenAI-compatible endpoint."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.providers import openai_wire
from chains.runtime.providers.reach import ModelParams, PlanTarget

OPENAI_BASE_URL = "https://api.openai.com/v1"
# Names of httpx's exceptions for a connection that ended in the middle of an answer.
CUT_SHORT = frozenset({"ReadError", "RemoteProtocolError"})


@cache
def _unused_clients() -> dict[str, Any]:
    """Passed so that ChatOpenAI does not create two clients for each model; our requests use none of them."""
    return {
        "http_client": openai.DefaultHttpxClient(trust_env=False, verify=openai_wire.tls()),
        "http_async_client": openai.DefaultAsyncHttpxClient(trust_env=False, verify=openai_wire.tls()),
    }


def build(target: PlanTarget, params: ModelParams) -> BaseChatModel:
    provider = target.provider
    base_url = provider.base_url or OPENAI_BASE_URL
    model = openai_wire.DirectChatOpenAI(
        model=target.model,
        base_url=base_url,
        # The SDK requires a key; our requests send the provider's own.
        api_key=SecretStr("none"),
        temperature=params.temperature,
        openai_proxy=None,
        max_retries=0,
        use_responses_api=False,
        extra_body=_extra_body(params, base_url) or None,
        **_unused_clients(),
        **params.extra,
    )
    model.reach(provider, base_url)
    return model


def _extra_body(params: ModelParams, base_url: str) -> dict[str, Any]:
    """Request fields that ChatOpenAI itself would send in another form than we want."""
    extra_body: dict[str, Any] = {}
    if params.max_tokens:
        # ChatOpenAI sends only the newer name, which some servers do not know.
        extra_body[_max_tokens_name(base_url)] = params.max_tokens
    if params.json_schema is not None:
        # The SDK's own parsing of a response_format raises on answers that our parser should validate.
        extra_body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": params.name, "schema": params.json_schema},
        }
    return extra_body


def _max_tokens_name(base_url: str) -> str:
    """OpenAI's newest models refuse the older name, and other servers may not know the newer one."""
    host = urlsplit(base_url).hostname or ""
    is_openai = host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if is_openai else "max_tokens"


def translate(error: Exception) -> errors.ProviderError:
    """The ProviderError for an exception of the SDK, of aiohttp, or of decoding an answer.

    Status codes: OpenAI API reference, "Error codes". Any other exception of a model call is the provider's
    fault too: json.JSONDecodeError for garbage in a stream, a plain ValueError for an HTML page.
    """
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return errors.ProviderTimeout()
    if isinstance(error, openai.APIStatusError):
        return _translate_status(error.status_code, error.code, error.response.headers)
    if isinstance(error, openai_wire.Refused):
        return _translate_status(error.status, error.code, error.headers)
    if isinstance(error, aiohttp.ClientConnectorError):
        return errors.ProviderUnreachable()
    if isinstance(
        error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    ):
        return errors.ProviderCut()
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError):
        return errors.ProviderGarbage()
    if isinstance(error, openai.APIConnectionError):
        # Compared by name, because the HTTP library is an internal choice of the SDK.
        causes = {type(cause).__name__ for cause in _causes(error)}
        return errors.ProviderCut() if causes & CUT_SHORT else errors.ProviderUnreachable()
    if isinstance(error, openai.APIError):
        # An error event inside a stream.
        return errors.ProviderFailed()
    if type(error) is ValueError and error.args and isinstance(error.args[0], dict):
        # An error object in place of a complete answer: langchain-openai raises it as a ValueError.
        return errors.ProviderFailed()
    return errors.ProviderGarbage()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _translate_status(status: int, code: Any, headers: Mapping[str, str]) -> errors.ProviderError:
    if status in (401, 403):
        return errors.ProviderAuthFailed()
    if status == 429:
        return errors.ProviderRateLimited(
            retry_after_s=_retry_after_s(headers), quota=code == "insufficient_quota"
        )
    if status in (408, 409):
        return errors.RetryableRefusal(retry_after_s=_retry_after_s(headers))
    if code == "context_length_exceeded":
        return errors.ContextTooLong()
    if status >= 500:
        return errors.ProviderFailed(retry_after_s=_retry_after_s(headers))
    if 300 <= status < 400:
        return errors.ProviderGarbage("The model provider sent a redirect, which is not followed.")
    return errors.ProviderRefused()


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``retry-after-ms`` or ``Retry-After`` in seconds; ``None`` for a date or an invalid value."""
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
