"""Providers of the kind ``openai``: langchain-openai against any OpenAI-compatible endpoint."""

import json
import ssl
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import openai
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr, ValidationError

from chains.runtime import errors
from chains.runtime.kinds import check_params
from chains.runtime.loops import per_loop
from chains.runtime.plan import PlanStep, PlanTarget
from chains.runtime.spec import describe

OPENAI_BASE_URL = "https://api.openai.com/v1"
# What httpx calls a connection that ended in the middle of an answer.
CUT_SHORT = frozenset({"ReadError", "RemoteProtocolError"})

# Reading the system's certificates takes a twentieth of a second, so every client shares one context.
_tls = cache(ssl.create_default_context)


class _HTTPClients(dict[str, Any]):
    """One connection pool for each endpoint."""

    def __missing__(self, key: str) -> Any:
        # No redirects and no proxies from the environment: the credential goes where the provider
        # record says, and nowhere else.
        self[key] = client = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            trust_env=False,
            verify=_tls(),
        )
        return client


_http_clients = per_loop(_HTTPClients)


@cache
def _sync_client() -> Any:
    """Never used: given so that ChatOpenAI does not build one of its own for each model."""
    return openai.DefaultHttpxClient(trust_env=False, verify=_tls())


def build(target: PlanTarget, step: PlanStep) -> BaseChatModel:
    check_params("openai", step.params.extra)
    provider, params = target.provider, step.params
    base_url = provider.base_url or OPENAI_BASE_URL
    # Above our own limits, which say what was too slow; this one only frees the socket.
    read_s = max(provider.first_token_s, provider.chunk_s, provider.answer_s) + 5
    extra_body: dict[str, Any] = {}
    if params.max_tokens:
        # Through extra_body, because ChatOpenAI knows the newer name only, which not every server does.
        extra_body[_max_tokens_name(base_url)] = params.max_tokens
    if step.parser.json_schema is not None:
        # Likewise, because the SDK's own parsing of a response_format gives up on answers that we
        # would rather judge ourselves.
        extra_body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": step.name, "schema": step.parser.json_schema},
        }
    try:
        return ChatOpenAI(
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
            extra_body=extra_body or None,
            **params.extra,
        )
    except ValidationError as error:
        raise errors.InvalidSpec(describe(error)) from error


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
    if isinstance(error, openai.APITimeoutError):
        return errors.ProviderTimeout()
    if isinstance(error, openai.APIStatusError):
        return _translate_status(error)
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


def _translate_status(error: openai.APIStatusError) -> errors.ProviderError:
    status, code = error.status_code, error.code
    if status in (401, 403):
        return errors.ProviderAuthFailed()
    if status == 429:
        return errors.ProviderRateLimited(
            retry_after_s=_retry_after_s(error), quota=code == "insufficient_quota"
        )
    if status in (408, 409):
        return errors.RetryableRefusal(retry_after_s=_retry_after_s(error))
    if code == "context_length_exceeded":
        return errors.ContextTooLong()
    if status >= 500:
        return errors.ProviderFailed(retry_after_s=_retry_after_s(error))
    if 300 <= status < 400:
        return errors.ProviderGarbage("The model provider sent a redirect, which is not followed.")
    return errors.ProviderRefused()


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    """``retry-after-ms`` or ``Retry-After`` in seconds; a date or nonsense counts as absent."""
    headers = error.response.headers
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
