"""How to reach a model: the provider's endpoint, credential and limits, and its places."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.pricing import Price
from concurrency.loops import per_loop


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """A provider. Time limits are in seconds; ``max_concurrency`` 0 means no cap."""

    slug: str
    kind: str
    base_url: str = ""
    api_key: SecretStr
    connect_s: float = 5
    first_token_s: float = 30
    chunk_s: float = 30
    answer_s: float = 120
    run_s: float = 300
    max_concurrency: int = 0


@dataclass(frozen=True, kw_only=True)
class PlanTarget:
    """A target with its provider looked up; ``price`` is ``None`` where unknown."""

    provider: ProviderConfig
    model: str
    price: Price | None = None


@dataclass(frozen=True, kw_only=True)
class ModelParams:
    """The parameters of a model call, besides its messages. A provider kind knows no more of the step.

    ``name`` is sent as the name of ``json_schema`` where the provider requires one. ``extra`` holds
    parameters that only some provider kinds know.
    """

    name: str
    temperature: float | None = None
    max_tokens: int | None = None
    json_schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def check_base_url(url: str) -> None:
    """Raises InvalidSpec unless ``url`` is a plain http(s) endpoint; credentials in a URL would leak."""
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


class _Places(dict[tuple[str, int], asyncio.Semaphore]):
    """The places at each provider, by the provider's slug and cap."""

    def __missing__(self, key: tuple[str, int]) -> asyncio.Semaphore:
        self[key] = places = asyncio.Semaphore(key[1])
        return places


_places = per_loop(_Places)


def places_at(provider: ProviderConfig) -> asyncio.Semaphore | None:
    """The provider's places, one of which a model call holds; ``None`` where the provider has no cap."""
    return _places()[provider.slug, provider.max_concurrency] if provider.max_concurrency else None
