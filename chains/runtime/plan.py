"""A plan: a spec with every reference resolved, so that nothing is looked up while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from chains.runtime.errors import InvalidSpec
from chains.runtime.parsers import output_schema
from chains.runtime.pricing import Price
from chains.runtime.prompts import PromptSpec
from chains.runtime.spec import Params, Parser, digest


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """Where models live. Time limits in seconds; ``max_concurrency`` 0 means no cap."""

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
    """A model that may answer, and what it charges (``None``: not known)."""

    provider: ProviderConfig
    model: str
    price: Price | None = None


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """``targets``: the first answers, the others stand in before its first token."""

    name: str
    prompt_slug: str
    prompt_version: int
    prompt: PromptSpec
    targets: tuple[PlanTarget, ...]
    params: Params
    parser: Parser


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What really runs. Two plans with the same ``digest`` behave alike."""

    chain_slug: str
    chain_name: str
    chain_description: str = ""
    version: int
    steps: tuple[PlanStep, ...]
    run_timeout_s: float

    @cached_property
    def prompts(self) -> Mapping[str, int]:
        return {step.prompt_slug: step.prompt_version for step in self.steps}

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the input: what the prompts ask for and no earlier step provides.

        Raises InvalidSpec where two steps want the same name with different types.
        """
        properties: dict[str, Any] = {}
        required: list[str] = []
        provided: set[str] = set()
        for step in self.steps:
            for name, (schema, is_required) in step.prompt.properties().items():
                if name in provided:
                    continue
                known = properties.setdefault(name, schema)
                if known["type"] != schema["type"]:
                    raise InvalidSpec(f"Two prompts use {name!r} with different types.")
                if is_required and name not in required:
                    required.append(name)
            provided.add(step.name)
        schema = {"title": "PromptInput", "type": "object", "properties": properties}
        return schema | ({"required": required} if required else {})

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return output_schema(self.steps[-1].parser)

    @cached_property
    def config_schema(self) -> dict[str, Any]:
        return {"title": "ChainConfig", "type": "object", "properties": {}}

    @cached_property
    def digest(self) -> str:
        """Over everything that shapes the answer; credentials and limits do not."""
        return digest([_behaviour(step) for step in self.steps])

    @cached_property
    def build_key(self) -> str:
        """Equal where a built runnable may serve again: ``digest``, how to reach providers, prices."""
        providers = [target.provider for step in self.steps for target in step.targets]
        reach = [
            [digest(provider.api_key.get_secret_value()), provider.connect_s, provider.first_token_s]
            for provider in providers
        ]
        limits = [[p.chunk_s, p.answer_s, p.max_concurrency] for p in providers]
        prices = [str(target.price) for step in self.steps for target in step.targets]
        return digest([self.digest, reach, limits, prices])


def _behaviour(step: PlanStep) -> list[Any]:
    return [
        step.name,
        step.prompt.model_dump(mode="json"),
        [[t.provider.slug, t.provider.kind, t.provider.base_url, t.model] for t in step.targets],
        step.params.model_dump(mode="json"),
        step.parser.model_dump(mode="json"),
    ]
