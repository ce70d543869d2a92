"""The provider kinds, one module each. A module is imported when a provider of its kind is first used.

The SDK of a kind may take seconds to import, so a kind that is not used is not imported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from chains.runtime.errors import InvalidSpec, ProviderError
from chains.runtime.providers.langchain import LangChainModel
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget
from chains.runtime.wire.fielderrors import describe


class KindModule(Protocol):
    """The functions of a provider kind's module.

    A kind that can list its models also has ``async def models(provider: ProviderConfig) -> list[str]``; see
    ``providers.listing``.
    """

    def build(self, target: PlanTarget, params: ModelParams) -> ChatModel | BaseChatModel:
        """The chat model for one target, whose provider kind knows every name in ``params.extra``.

        It may be any chat model of LangChain's.

        Raises pydantic's ValidationError for values that the model does not accept.
        """

    def translate(self, error: Exception) -> ProviderError:
        """The ProviderError for an exception that the model raised."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``extra_params``: the parameters that a spec may set besides temperature and max_tokens.

    ``sdk`` is the package whose exceptions the kind's module can translate, "" where it has none.
    """

    label: str
    needs_endpoint: bool
    extra_params: frozenset[str]
    module: str
    sdk: str = ""

    def load(self) -> KindModule:
        return cast(KindModule, import_module(self.module))


KINDS: dict[str, Kind] = {
    "demo": Kind(
        label="Demo (built in, no key)",
        needs_endpoint=False,
        extra_params=frozenset({"reply", "delay_ms", "words", "fail", "fail_after"}),
        module="chains.runtime.providers.demo",
    ),
    "openai": Kind(
        label="OpenAI, or compatible",
        needs_endpoint=True,
        extra_params=frozenset(
            {"top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "reasoning_effort"}
            | {"verbosity", "service_tier"}
        ),
        module="chains.runtime.providers.openai",
        sdk="openai",
    ),
}


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
    kind = target.provider.kind
    check_params(kind, params.extra)
    try:
        model = kind_of(kind).load().build(target, params)
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
        if kind.sdk in packages:
            return kind.load().translate(error)
    return None
