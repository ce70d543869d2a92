"""The plan of a chain that is configured as data: ``prompt | model | parser`` for each step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from chains.runtime import errors
from chains.runtime.direct import DirectChain, step_values
from chains.runtime.names import digest
from chains.runtime.plans.base import Input, Plan, PlanStep
from chains.runtime.providers.calls import GuardedModel
from chains.runtime.providers.reach import load_kinds
from chains.runtime.steps.parsers import build_parser, combine, output_schema
from chains.runtime.steps.prompts import as_text
from chains.runtime.wire.fielderrors import schema_faults
from chains.runtime.wire.messages import decode_messages


@dataclass(frozen=True, kw_only=True)
class SpecPlan(Plan):
    """``options`` is the JSON Schema of what callers may send under ``configurable``."""

    steps: tuple[PlanStep, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def prompts(self) -> Mapping[str, int]:
        """Where a later step uses another version of the same prompt, ``slug (step)`` names that one."""
        used: dict[str, int] = {}
        for step in self.steps:
            if used.setdefault(step.prompt_slug, step.prompt_version) != step.prompt_version:
                used[f"{step.prompt_slug} ({step.name})"] = step.prompt_version
        return used

    @cached_property
    def step_names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.steps)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """What the prompts ask for and no earlier step provides.

        Raises InvalidSpec where two steps want the same name with different types.
        """
        properties: dict[str, Any] = {}
        required: list[str] = []
        provided: set[str] = set()
        for step in self.steps:
            asked = step.prompt.properties(system_messages=self.system_messages)
            for name, (schema, is_required) in asked.items():
                if name in provided:
                    continue
                known = properties.setdefault(name, schema)
                if known["type"] != schema["type"]:
                    raise errors.InvalidSpec(f"Two prompts use {name!r} with different types.")
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
        schema: dict[str, Any] = {"title": "ChainConfig", "type": "object", "properties": {}}
        if self.options:
            schema["properties"] = {"configurable": {"$ref": "#/$defs/Configurable"}}
            schema["$defs"] = {"Configurable": dict(self.options)}
        return schema

    @cached_property
    def digest(self) -> str:
        """Over everything that shapes the answer; credentials and limits do not."""
        return digest([_behaviour(step) for step in self.steps])

    @cached_property
    def build_key(self) -> str:
        """``digest``, how to reach providers, and prices."""
        providers = [target.provider for step in self.steps for target in step.targets]
        reach = [
            [digest(provider.api_key.get_secret_value()), provider.connect_s, provider.first_token_s]
            for provider in providers
        ]
        limits = [[p.chunk_s, p.answer_s, p.max_concurrency] for p in providers]
        prices = [str(target.price) for step in self.steps for target in step.targets]
        return digest([self.digest, reach, limits, prices])

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.input_schema)

    def check_input(self, value: Any) -> Input:
        """Defaults filled in and unknown keys dropped; messages decoded, everything else as text."""
        schema = self.input_schema
        if faults := schema_faults(self._validator, value):
            raise errors.InvalidInput(errors=faults)
        properties: Mapping[str, Any] = schema["properties"]
        defaults = {name: p["default"] for name, p in properties.items() if "default" in p}
        data = defaults | {name: value[name] for name in properties if name in value}
        is_list = {name for name, p in properties.items() if p["type"] == "array"}
        return Input(
            data=data,
            value={
                name: self._messages(name, inner) if name in is_list else as_text(inner)
                for name, inner in data.items()
            },
        )

    def _messages(self, name: str, items: Sequence[Any]) -> list[BaseMessage]:
        try:
            return decode_messages(items, system=self.system_messages)
        except errors.InvalidInput as error:
            raise error.inside(name) from error

    def load(self) -> None:
        load_kinds(target.provider.kind for step in self.steps for target in step.targets)

    def build(self) -> Runnable[Any, Any]:
        """Every step's output joins what the next ones see."""
        *before, last = self.steps
        runnable = _build_step(last, follows=bool(before))
        for index, step in reversed(list(enumerate(before))):
            runnable = _assign(step, follows=index > 0) | runnable
        return runnable

    def build_direct(self) -> DirectChain | None:
        return DirectChain.of(self.steps)

    def is_piece(self, chunk: Any) -> bool:
        """Providers open and close a stream with empty texts."""
        return bool(chunk != "")

    def combine(self, chunks: Sequence[Any]) -> Any:
        return combine(self.steps[-1].parser, chunks)


def _behaviour(step: PlanStep) -> list[Any]:
    return [
        step.name,
        step.prompt.model_dump(mode="json"),
        [[t.provider.slug, t.provider.kind, t.provider.base_url, t.model] for t in step.targets],
        step.params.model_dump(mode="json"),
        step.parser.model_dump(mode="json"),
    ]


def _assign(step: PlanStep, *, follows: bool) -> Runnable[Any, Any]:
    """The step's output beside what came in; always whole, for nobody reads its pieces.

    RunnablePassthrough.assign streams in tasks of its own, which a cancelled run would leave behind
    with their calls to the provider.
    """
    assign = RunnablePassthrough.assign(**{step.name: _build_step(step, follows=follows)})

    async def whole(values: Mapping[str, Any]) -> dict[str, Any]:
        return await assign.ainvoke(dict(values))

    return RunnableLambda(whole)


def _build_step(step: PlanStep, *, follows: bool) -> Runnable[Any, Any]:
    chain = step.prompt.to_langchain() | GuardedModel.for_step(step) | build_parser(step.parser)
    return _texts(keep=step.prompt.placeholders) | chain if follows else chain


def _texts(keep: Collection[str]) -> Runnable[Any, Any]:
    async def texts(values: Mapping[str, Any]) -> dict[str, Any]:
        return step_values(values, keep=keep)

    return RunnableLambda(texts)
