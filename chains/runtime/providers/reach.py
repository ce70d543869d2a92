"""Providers: what may be their endpoint, the models they build and the places they have."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel

from chains.runtime import errors
from chains.runtime.plans.base import PlanStep, PlanTarget, ProviderConfig
from chains.runtime.providers import kind_of
from concurrency.loops import per_loop


def build_model(target: PlanTarget, step: PlanStep) -> BaseChatModel:
    """The LangChain chat model for one target of a step; raises InvalidSpec for wrong parameters."""
    return kind_of(target.provider.kind).load().build(target, step)


def translate(error: Exception, provider: ProviderConfig) -> errors.ProviderError:
    """What an exception means that a model of this provider raised."""
    return kind_of(provider.kind).load().translate(error)


def load_kinds(kinds: Iterable[str]) -> None:
    """Import what these kinds need, here and now rather than in the event loop."""
    for kind in kinds:
        kind_of(kind).load()


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


class _Places(dict[tuple[str, int], asyncio.Semaphore]):
    """The places at each provider, by its slug and cap."""

    def __missing__(self, key: tuple[str, int]) -> asyncio.Semaphore:
        self[key] = places = asyncio.Semaphore(key[1])
        return places


_places = per_loop(_Places)


def places_at(provider: ProviderConfig) -> asyncio.Semaphore | None:
    """Held while a model call is under way; ``None`` where the provider has no cap."""
    return _places()[provider.slug, provider.max_concurrency] if provider.max_concurrency else None
