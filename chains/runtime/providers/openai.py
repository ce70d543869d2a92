"""Providers of the kind ``openai``: langchain-openai against any OpenAI-compatible endpoint."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr, ValidationError

from chains.runtime import errors
from chains.runtime.plans.base import PlanStep, PlanTarget
from chains.runtime.providers import check_params, openai_wire
from chains.runtime.wire.fielderrors import describe
from concurrency.loops import per_loop

OPENAI_BASE_URL = "https://api.openai.com/v1"
# What httpx calls a connection that ended in the middle of an answer.
CUT_SHORT = frozenset({"ReadError", "RemoteProtocolError"})


class _HTTPClients(dict[str, Any]):
    """One connection pool for each endpoint."""

    def __missing__(self, key: str) -> Any:
        # No redirects and no proxies from the environment: the credential goes where the provider
        # record says, and nowhere else.
        self[key] = client = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            trust_env=False,
            verify=openai_wire.tls(),
        )
        return client


_http_clients = per_loop(_HTTPClients)


@cache
def _sync_client() -> Any:
    """Never used: given so that ChatOpenAI does not build one of its own for each model."""
    return openai.DefaultHttpxClient(trust_env=False, verify=openai_wire.tls())


def build(target: PlanTarget, step: PlanStep) -> BaseChatModel:
    check_params("openai", step.params.extra)
    provider, params = target.provider, step.params
    base_url = provider.base_url or OPENAI_BASE_URL
    # Above our own limits, which say what was too slow; this one only frees the socket.
    read_s = max(provider.first_token_s, provider.chunk_s, provider.answer_s) + 5
    is_direct = provider.direct and openai_wire.is_possible()
    try:
        model = (openai_wire.DirectChatOpenAI if is_direct else ChatOpenAI)(
            model=target.model,
            base_url=base_url,
            # Servers without keys ignore it; the SDK insists on one.
            api_key=provider.api_key if provider.api_key.get_secret_value() else SecretStr("none"),
            temperature=params.temperature,
            http_client=_sync_client(),
            http_async_client=_http_clients()[base_url],
            # Each request carries it: the SDK never looks at what the HTTP client was given.
            timeout=openai.Timeout(
                connect=provider.connect_s, read=read_s, write=read_s, pool=provider.connect_s
            ),
            openai_proxy=None,
            max_retries=0,
            stream_usage=True,
            stream_chunk_timeout=None,
            use_responses_api=False,
            extra_body=_extra_body(step, base_url) or None,
            **params.extra,
        )
    except ValidationError as error:
        raise errors.InvalidSpec(describe(error)) from error
    if isinstance(model, openai_wire.DirectChatOpenAI):
        model.reach(provider, base_url)
    return model


def _extra_body(step: PlanStep, base_url: str) -> dict[str, Any]:
    """What ChatOpenAI would word otherwise than we want it."""
    extra_body: dict[str, Any] = {}
    if step.params.max_tokens:
        # It knows the newer name only, which not every server does.
        extra_body[_max_tokens_name(base_url)] = step.params.max_tokens
    if step.parser.json_schema is not None:
        # The SDK's own parsing of a response_format gives up on answers that we would rather judge
        # ourselves.
        extra_body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": step.name, "schema": step.parser.json_schema},
        }
    return extra_body


def _max_tokens_name(base_url: str) -> str:
    """OpenAI's newest models refuse the older name, and other servers may not know the newer one."""
    host = urlsplit(base_url).hostname or ""
    is_openai = host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if is_openai else "max_tokens"


def translate(error: Exception) -> errors.ProviderError:
    """The SDK's exceptions, and what its decoding lets through, as ours.

    Status codes: OpenAI API reference, "Error codes". Anything else that a model call raises is
    the provider's fault too: json.JSONDecodeError for garbage in a stream, a plain ValueError for
    an HTML page.
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
        # By name: which HTTP library it is, is the SDK's own business.
        causes = {type(cause).__name__ for cause in _causes(error)}
        return errors.ProviderCut() if causes & CUT_SHORT else errors.ProviderUnreachable()
    if isinstance(error, openai.APIError):
        # An error event inside a stream.
        return errors.ProviderFailed()
    if type(error) is ValueError and error.args and isinstance(error.args[0], dict):
        # The same in place of a whole answer: langchain-openai raises the error object so.
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
    """``retry-after-ms`` or ``Retry-After`` in seconds; a date or nonsense counts as absent."""
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
