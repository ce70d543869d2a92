"""The kinds of provider: how each builds its chat model, and what its exceptions mean to us."""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import openai
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr, ValidationError

from chains.runtime import errors
from chains.runtime.demo import DemoChatModel
from chains.runtime.loops import per_loop
from chains.runtime.plan import PlanStep, PlanTarget, ProviderConfig
from chains.runtime.spec import describe

OPENAI_BASE_URL = "https://api.openai.com/v1"
# What httpx calls a connection that ended in the middle of an answer.
CUT_SHORT = frozenset({"ReadError", "RemoteProtocolError"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``extra_params``: what the spec may set beside temperature and max_tokens."""

    label: str
    needs_endpoint: bool
    extra_params: frozenset[str]
    build: Callable[[PlanTarget, PlanStep], BaseChatModel]
    translate: Callable[[Exception], errors.ProviderError]


def build_model(target: PlanTarget, step: PlanStep) -> BaseChatModel:
    """The LangChain chat model for one target of a step; raises InvalidSpec for wrong parameters."""
    return kind_of(target.provider.kind).build(target, step)


def kind_of(name: str) -> Kind:
    try:
        return KINDS[name]
    except KeyError:
        raise errors.InvalidSpec(f"There is no provider kind {name!r}.") from None


def check_params(kind: str, extra: Mapping[str, Any]) -> None:
    """Raises InvalidSpec naming the first parameter that this kind of provider does not know."""
    known = kind_of(kind).extra_params
    for name in extra:
        if name not in known:
            raise errors.InvalidSpec(
                f"The parameter {name!r} is not known to providers of kind {kind!r}; "
                f"known are: {', '.join(sorted(known))}."
            )


def check_base_url(url: str) -> None:
    """Raises InvalidSpec unless ``url`` is a plain http(s) endpoint; credentials in it would leak."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise errors.InvalidSpec("The endpoint is not a URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.InvalidSpec("The endpoint starts with http:// or https:// and names a host.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise errors.InvalidSpec("The endpoint must not contain a user name or password.")
    if parts.query or parts.fragment:
        raise errors.InvalidSpec("The endpoint has no query and no fragment.")


# --- demo --------------------------------------------------------------------------------------


def _build_demo(target: PlanTarget, step: PlanStep) -> BaseChatModel:
    check_params("demo", step.params.extra)
    try:
        return DemoChatModel(
            model=target.model,
            max_tokens=step.params.max_tokens,
            json_schema=step.parser.json_schema,
            **step.params.extra,
        )
    except ValidationError as error:
        raise errors.InvalidSpec(describe(error)) from error


def _translate_demo(error: Exception) -> errors.ProviderError:
    return errors.ProviderFailed()


# --- openai ------------------------------------------------------------------------------------


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


def _build_openai(target: PlanTarget, step: PlanStep) -> BaseChatModel:
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


def _translate_openai(error: Exception) -> errors.ProviderError:
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


KINDS: Mapping[str, Kind] = {
    "demo": Kind(
        label="Demo (built in, no key)",
        needs_endpoint=False,
        extra_params=frozenset({"reply", "delay_ms", "words", "fail", "fail_after"}),
        build=_build_demo,
        translate=_translate_demo,
    ),
    "openai": Kind(
        label="OpenAI, or compatible",
        needs_endpoint=True,
        extra_params=frozenset(
            {"top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "reasoning_effort"}
            | {"verbosity", "service_tier"}
        ),
        build=_build_openai,
        translate=_translate_openai,
    ),
}


# --- concurrency -------------------------------------------------------------------------------


class _Places(dict[tuple[str, int], asyncio.Semaphore]):
    """The places at each provider, by its slug and cap."""

    def __missing__(self, key: tuple[str, int]) -> asyncio.Semaphore:
        self[key] = places = asyncio.Semaphore(key[1])
        return places


_places = per_loop(_Places)


def places_at(provider: ProviderConfig) -> asyncio.Semaphore | None:
    """Held while a model call is under way; ``None`` where the provider has no cap."""
    return _places()[provider.slug, provider.max_concurrency] if provider.max_concurrency else None
