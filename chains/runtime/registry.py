"""Code chains: LangChain runnables that are registered under a name and served like configured chains."""

import asyncio
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import coerce_to_runnable
from pydantic import BaseModel

from chains.runtime.errors import RegistrationError as RegistrationError  # part of what users import
from chains.runtime.names import SLUG_PATTERN
from chains.runtime.wire.config import CONFIG_KEYS, CONFIGURABLE


class CustomUserType(BaseModel):
    """Base class for input models that the runnable receives as instances; other models become a ``dict``.

    LangServe's class of the same name does the same.
    """


@dataclass(frozen=True, kw_only=True)
class RequestInfo:
    """The request, for ``per_request``; ``headers`` have lower-case names and no credentials."""

    username: str
    user_id: int
    key_id: str | None
    chain: str
    endpoint: str
    headers: Mapping[str, str]


PerRequest = Callable[[RunnableConfig, RequestInfo], RunnableConfig | Awaitable[RunnableConfig]]


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered runnable and its settings; ``package`` is the name and version of its package."""

    slug: str
    runnable: Runnable[Any, Any]
    config_keys: tuple[str, ...]
    per_request: PerRequest | None
    expose_steps: bool
    timeout_s: float
    description: str
    module: str
    package: str


_registered: dict[str, Registered] = {}


def register(
    name: str,
    runnable: Any,
    *,
    input_type: Any = None,
    output_type: Any = None,
    config_keys: Sequence[str] = (CONFIGURABLE,),
    per_request: PerRequest | None = None,
    expose_steps: bool = False,
    timeout_s: float = 300,
    description: str = "",
) -> None:
    """Serve ``runnable`` as the chain ``name``.

    ``runnable`` is a Runnable, or anything that LangChain converts to one (a function, a dict of
    runnables). ``input_type`` and ``output_type`` replace types that LangChain cannot infer.
    ``config_keys`` lists the keys of ``config`` that clients may set. ``per_request(config,
    request_info)``, sync or async, returns the config to run with. ``expose_steps`` lets every caller see
    inner steps (``stream_events``, ``stream_log``). ``timeout_s`` is the time limit of a run, in seconds.

    Raises RegistrationError.
    """
    module = sys._getframe(1).f_globals.get("__name__", "")
    slug = _free_slug(name)
    if unknown := set(config_keys) - set(CONFIG_KEYS):
        raise RegistrationError(
            f"The chain {slug!r}: config_keys may name {', '.join(CONFIG_KEYS)}, not {sorted(unknown)[0]!r}."
        )
    if per_request is not None and not callable(per_request):
        raise RegistrationError(f"The chain {slug!r}: per_request is not callable.")
    if timeout_s <= 0:
        raise RegistrationError(f"The chain {slug!r}: timeout_s is a number of seconds above 0.")
    _registered[slug] = Registered(
        slug=slug,
        runnable=_typed(slug, runnable, input_type, output_type),
        config_keys=tuple(config_keys),
        per_request=per_request,
        expose_steps=expose_steps,
        timeout_s=timeout_s,
        description=description,
        module=module,
        package=_package_of(module),
    )


def _free_slug(name: str) -> str:
    slug = name.strip("/")
    if not re.fullmatch(SLUG_PATTERN, slug):
        raise RegistrationError(
            f"{name!r} cannot name a chain: use lower-case letters, digits, '-' and '_', at most 64."
        )
    if slug in _registered:
        raise RegistrationError(f"The chain {slug!r} is registered already, by {_registered[slug].module}.")
    return slug


def _typed(slug: str, runnable: Any, input_type: Any, output_type: Any) -> Runnable[Any, Any]:
    try:
        built: Runnable[Any, Any] = coerce_to_runnable(runnable)
    except TypeError as error:
        raise RegistrationError(f"The chain {slug!r} is no LangChain runnable: {error}") from error
    if input_type is None and output_type is None:
        return built
    return built.with_types(input_type=input_type, output_type=output_type)


def registered(slug: str) -> Registered | None:
    return _registered.get(slug)


def all_registered() -> list[Registered]:
    """All registered chains, sorted by slug."""
    return [_registered[slug] for slug in sorted(_registered)]


_distributions = cache(metadata.packages_distributions)


def _package_of(module: str) -> str:
    """Name and version: of the installed distribution, else of the top-level module, else only its name."""
    top = module.partition(".")[0]
    names = _distributions().get(top)
    if names:
        return f"{names[0]} {metadata.version(names[0])}"
    version = getattr(sys.modules.get(top), "__version__", "")
    return f"{top} {version}".strip()


async def personalised(entry: Registered, config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
    """The config that ``per_request`` returns for this request.

    Raises TimeoutError after ``entry.timeout_s``, TypeError where it returns no config, and whatever its own
    code raises.
    """
    assert entry.per_request is not None
    async with asyncio.timeout(entry.timeout_s):
        changed = entry.per_request(config, info)
        changed = await changed if inspect.isawaitable(changed) else changed
    if not isinstance(changed, dict):
        raise TypeError(
            f"per_request of the chain {entry.slug!r} returned {type(changed).__name__}, no config."
        )
    return changed
