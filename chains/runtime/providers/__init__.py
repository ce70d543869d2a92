"""The provider kinds, one module each. A module is imported when a provider of its kind is first used.

The SDK of a kind may take seconds to import, so a kind that is not used is not imported. A kind whose package
is not installed is listed too, with the command that installs it.
"""

import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from chains.runtime import errors
from chains.runtime.errors import InvalidSpec, ProviderError, RegistrationError
from chains.runtime.names import SLUG_PATTERN
from chains.runtime.providers.failures import failed_connection, judged, retry_after_s, told_of
from chains.runtime.providers.langchain import LangChainModel
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig
from chains.runtime.wire.fielderrors import describe

Build = Callable[[PlanTarget, ModelParams], ChatModel | BaseChatModel]
"""Makes the chat model for one target, whose kind knows every name in ``ModelParams.extra``.

The model may be any chat model of LangChain's. Raises pydantic's ValidationError for values that the model
does not accept, InvalidSpec for a provider that cannot be used as it is configured.
"""
Translate = Callable[[Exception], ProviderError]
"""The ProviderError for an exception that the model raised."""

ListModels = Callable[[ProviderConfig], Awaitable[list[str]]]
"""Lists the names of a provider's models; see ``providers.listing``."""

MAX_KIND_CHARS = 32


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``extra_params``: the parameters that a spec may set besides temperature and max_tokens.

    ``needs_endpoint``: there is no endpoint without one in the provider's record; ``default_endpoint`` is the
    one that is used then. ``reads_whole_addresses``: the endpoint may be any address below the base.
    ``needs_key``: a provider of the kind mostly has a key.

    ``module`` has a function ``build`` and may have functions ``translate`` and ``models`` (``ListModels``);
    or the first two are given themselves.

    ``sdk`` is the package whose exceptions the kind can translate, "" where it has none. ``package`` is what
    has to be importable, "" where nothing is missing in any installation; ``install`` is the command that
    installs it.
    """

    label: str
    needs_endpoint: bool
    extra_params: frozenset[str]
    module: str = ""
    build: Build | None = None
    translate: Translate | None = None
    default_endpoint: str = ""
    reads_whole_addresses: bool = False
    needs_key: bool = True
    sdk: str = ""
    package: str = ""
    install: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether the kind's package can be imported; asked anew each time, and cheap once it is."""
        if not self.package or self.package in sys.modules:
            return True
        try:
            return find_spec(self.package) is not None
        except ModuleNotFoundError:
            # A package above it is missing.
            return False

    @property
    def how_to_install(self) -> str:
        """The sentence for whoever meets a kind whose package is missing."""
        command = f" Install it with: {self.install}" if self.install else ""
        return f"{self.label}: the Python package {self.package!r} is not installed.{command}"

    @property
    def needs(self) -> str:
        """What a provider of this kind has to have, for the admin."""
        if self.needs_endpoint:
            return "needs an endpoint and, mostly, a key." if self.needs_key else "needs an endpoint."
        if self.default_endpoint:
            return f"needs a key. Its endpoint is {self.default_endpoint} where none is given."
        return "needs a key." if self.needs_key else "needs nothing else."

    def reached(self, provider: ProviderConfig) -> ProviderConfig:
        """The provider with an endpoint; raises InvalidSpec where there is none and has to be one."""
        if provider.base_url:
            return provider
        if self.needs_endpoint:
            raise InvalidSpec(f"{self.label}: the provider {provider.slug!r} needs an endpoint.")
        return replace(provider, base_url=self.default_endpoint)

    def load(self) -> Build:
        """Import the kind's module. Raises InvalidSpec where its package is not installed."""
        if not self.is_installed:
            raise InvalidSpec(self.how_to_install)
        build: Build = self.build or import_module(self.module).build
        return build

    def load_models(self) -> ListModels | None:
        """Import the function that lists a provider's models; ``None`` where the kind has none.

        Raises InvalidSpec where the kind's package is not installed.
        """
        self.load()
        return getattr(import_module(self.module), "models", None) if self.module else None

    def translated(self, error: Exception) -> ProviderError:
        """The ProviderError for an exception that a model of this kind raised."""
        own: Translate | None = self.translate
        if self.module:
            own = getattr(import_module(self.module), "translate", None)
        return own(error) if own else _translated(error)


OPENAI_PARAMS = frozenset(
    {"top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "reasoning_effort"}
    | {"verbosity", "service_tier"}
)

KINDS: dict[str, Kind] = {
    "demo": Kind(
        label="Demo (built in, no key)",
        needs_endpoint=False,
        needs_key=False,
        extra_params=frozenset({"reply", "delay_ms", "words", "fail", "fail_after"}),
        module="chains.runtime.providers.demo",
    ),
    "openai": Kind(
        label="OpenAI, or compatible",
        needs_endpoint=False,
        default_endpoint="https://api.openai.com/v1",
        extra_params=OPENAI_PARAMS,
        module="chains.runtime.providers.openai",
        sdk="openai",
    ),
    "azure": Kind(
        label="Azure OpenAI",
        needs_endpoint=True,
        reads_whole_addresses=True,
        extra_params=OPENAI_PARAMS,
        module="chains.runtime.providers.azure",
    ),
    "anthropic": Kind(
        label="Anthropic",
        needs_endpoint=False,
        default_endpoint="https://api.anthropic.com",
        extra_params=frozenset({"top_p", "top_k", "stop", "thinking", "reasoning_effort", "service_tier"}),
        module="chains.runtime.providers.anthropic",
        sdk="anthropic",
        package="langchain_anthropic",
        install="pip install --require-hashes -r requirements-anthropic.txt",
    ),
}


def register_provider_kind(
    name: str,
    *,
    label: str,
    module: str = "",
    build: Build | None = None,
    translate: Translate | None = None,
    extra_params: Iterable[str] = (),
    needs_endpoint: bool = False,
    needs_key: bool = True,
    package: str = "",
    install: str = "",
) -> None:
    """Add a kind of provider; ``name`` is what providers store, ``label`` what the admin shows.

    Either ``module`` names a module that has ``build(target, params)`` and may have ``translate(error)``; it
    is imported when a provider of the kind is first used. Or these functions are given themselves. ``build``
    returns any chat model of LangChain's. ``translate`` returns the ProviderError for an exception of that
    model. Without one, exceptions are judged by the HTTP status that they carry; those that carry none are
    ProviderFailed. The other arguments are as in ``Kind``.

    Call it while the server starts: in ``AppConfig.ready()``, or in a module ``runnables`` or one that
    ``CHAINHUB_RUNNABLES`` names.

    Raises RegistrationError.
    """
    _check_name(name)
    if bool(module) == bool(build) or (module and translate):
        raise RegistrationError(
            f"The kind of provider {name!r}: give either a module that has 'build', or 'build' itself."
        )
    KINDS[name] = Kind(
        label=label,
        module=module,
        build=build,
        translate=translate,
        extra_params=frozenset(extra_params),
        needs_endpoint=needs_endpoint,
        needs_key=needs_key,
        package=package,
        install=install,
    )


def _check_name(name: str) -> None:
    if not re.fullmatch(SLUG_PATTERN, name) or len(name) > MAX_KIND_CHARS:
        raise RegistrationError(
            f"{name!r} cannot name a kind of provider: use lower-case letters, digits, '-' and '_', "
            f"at most {MAX_KIND_CHARS}."
        )
    if name in KINDS:
        raise RegistrationError(f"There is a kind of provider {name!r} already: {KINDS[name].label}.")


def kind_of(name: str) -> Kind:
    try:
        return KINDS[name]
    except KeyError:
        raise InvalidSpec(f"There is no provider kind {name!r}.") from None


def load_kinds(kinds: Iterable[str]) -> None:
    """Import the modules of these kinds. Call it in a thread: an import blocks the event loop."""
    for kind in kinds:
        kind_of(kind).load()


def check_params(kind: str, extra: Mapping[str, Any]) -> None:
    """Raises InvalidSpec naming the first parameter that this kind of provider does not know."""
    known = kind_of(kind).extra_params
    for name in extra:
        if name not in known:
            raise InvalidSpec(
                f"The parameter {name!r} is not known to providers of kind {kind!r}; "
                f"known are: {', '.join(sorted(known))}."
            )


def build_model(target: PlanTarget, params: ModelParams) -> ChatModel:
    """The chat model for one target; raises InvalidSpec for wrong parameters."""
    kind = kind_of(target.provider.kind)
    check_params(target.provider.kind, params.extra)
    try:
        model = kind.load()(replace(target, provider=kind.reached(target.provider)), params)
    except ValidationError as error:
        raise InvalidSpec(describe(error)) from error
    if isinstance(model, BaseChatModel):
        return LangChainModel(model=model, splits_thinking=target.provider.splits_thinking)
    return model


def translated_by_sdk(error: Exception) -> ProviderError | None:
    """The ProviderError for an exception of a provider's SDK; ``None`` for any other exception."""
    # Compares package names, so that no SDK is imported. The base classes count too, because integrations
    # raise their own subclasses of an SDK's exceptions.
    packages = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    for kind in KINDS.values():
        if kind.sdk in packages and kind.is_installed:
            return kind.translated(error)
    return None


def _translated(error: Exception) -> ProviderError:
    """The ProviderError for an exception of a model whose kind does not translate."""
    if known := translated_by_sdk(error):
        return known
    if isinstance(error, TimeoutError):
        return errors.ProviderTimeout()
    if isinstance(error, ConnectionError):
        return errors.ProviderUnreachable()
    if found := failed_connection(error):
        return found
    told, headers = told_of(error)
    return judged(told, retry_after_s=retry_after_s(headers))
