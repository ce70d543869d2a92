"""Calls a model and, where it fails before a token has come, its fallbacks."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage

from chains.runtime import errors
from chains.runtime.context import RunContext
from chains.runtime.names import digest
from chains.runtime.providers import build_model, load_kinds
from chains.runtime.providers.attempts import Attempt
from chains.runtime.providers.lessons import Asking
from chains.runtime.providers.pieces import ChatModel, Piece
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig
from chains.runtime.wire.values import encode
from concurrency.loops import per_loop

MAX_PROMPT_CHARS = 256 * 1024
MAX_KEPT_MODELS = 256


@dataclass(frozen=True, kw_only=True)
class GuardedModel:
    """A target and its fallbacks: a fallback is called only where no token has come before the failure."""

    targets: tuple[PlanTarget, ...]
    params: ModelParams

    def load(self) -> None:
        """Import the modules of the targets' provider kinds; an import blocks the event loop."""
        load_kinds(target.provider.kind for target in self.targets)

    def build(self) -> Sequence[ChatModel]:
        """One model for each target, kept per event loop because its connections belong to one loop.

        Raises InvalidSpec where a provider does not accept the parameters.
        """
        return _kept_models().get(self)

    @cached_property
    def key(self) -> str:
        """Cache key: equal where the same models can be used again. A digest, so it reveals no credential."""
        reach = [[t.model, _fields_of(t.provider), t.learned] for t in self.targets]
        return digest([encode(reach), encode(vars(self.params))])

    async def answers(
        self, path: str, messages: list[BaseMessage], context: RunContext, *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        """Yield pieces of the answer from the first target that starts one; ``path`` names the step."""
        _check_length(messages)
        last = len(self.targets) - 1
        for index, (target, model) in enumerate(zip(self.targets, self.build(), strict=True)):
            asking = Asking(
                target=target, model=model, params=self.params, context=context, streaming=streaming
            )
            attempt = Attempt(path=path, context=context, asking=asking)
            try:
                async with aclosing(attempt.run(messages)) as answer:
                    async for pieces in answer:
                        yield pieces
                return
            except errors.ProviderError:
                if attempt.began or index == last:
                    raise


def _fields_of(provider: ProviderConfig) -> dict[str, Any]:
    values = {each.name: getattr(provider, each.name) for each in fields(provider)}
    return {**values, "api_key": provider.api_key.get_secret_value()}


class _KeptModels:
    """The most recently used models of one event loop."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, Sequence[ChatModel]] = OrderedDict()

    def get(self, call: GuardedModel) -> Sequence[ChatModel]:
        key = call.key
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        self._models[key] = models = [build_model(target, call.params) for target in call.targets]
        if len(self._models) > MAX_KEPT_MODELS:
            self._models.popitem(last=False)
        return models


_kept_models = per_loop(_KeptModels)


def _check_length(messages: list[BaseMessage]) -> None:
    """Only text counts: a picture in a ``data:`` URL is bounded by the size of the request's body."""
    if sum(len(message.text) for message in messages) > MAX_PROMPT_CHARS:
        raise errors.InvalidInput(f"The whole prompt is longer than {MAX_PROMPT_CHARS} characters.")
