"""The plan of a configured chain: runs its steps one after another."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from chains.runtime import errors
from chains.runtime.context import RunContext
from chains.runtime.names import digest
from chains.runtime.plans.base import Input, Plan
from chains.runtime.steps.base import PlannedStep
from chains.runtime.steps.prompts import Variable, as_text
from chains.runtime.wire.fielderrors import MAX_FAULTS
from chains.runtime.wire.inputs import read_input
from chains.runtime.wire.messages import decode_messages
from chains.runtime.wire.values import encode


@dataclass(frozen=True, kw_only=True)
class ConfiguredPlan(Plan):
    """``options`` is the JSON Schema of what callers may send under ``configurable``."""

    steps: tuple[PlannedStep, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def prompts(self) -> Mapping[str, int]:
        """The version number of each prompt, by slug.

        Where a later step uses another version of the same prompt, the key of that one is ``slug (step)``.
        """
        used: dict[str, int] = {}
        for step in self.every_step:
            for slug, version in step.uses.items():
                if used.setdefault(slug, version) != version:
                    used[f"{slug} ({step.name})"] = version
        return used

    @cached_property
    def every_step(self) -> tuple[PlannedStep, ...]:
        """The steps, each followed by those inside it."""
        return tuple(inner for step in self.steps for inner in step.walk())

    @property
    def has_several_steps(self) -> bool:
        return len(self.steps) > 1

    @property
    def answering_step(self) -> str:
        return self.steps[-1].name

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the inputs that the steps need and no earlier step provides.

        Raises InvalidSpec where two steps use the same name with different types.
        """
        properties: dict[str, Any] = {}
        required: set[str] = set()
        needed_anyhow: set[str] = set()
        provided: set[str] = set()
        for step in self.steps:
            asked = step.inputs(system_messages=self.system_messages)
            for name, (schema, is_required) in asked.items():
                if name in provided:
                    continue
                known = properties.get(name) or schema
                if schema and known["type"] != schema["type"]:
                    raise errors.InvalidSpec(f"Two steps use {name!r} with different types.")
                properties[name] = known
                if is_required:
                    (required if schema else needed_anyhow).add(name)
            provided.add(step.name)
        for name in needed_anyhow:
            properties[name] = properties[name] or Variable(name=name).json_schema
            # A step that takes any value also takes the default of another step.
            if "default" not in properties[name]:
                required.add(name)
        names = [name for name in properties if name in required]
        schema = {"title": "PromptInput", "type": "object", "properties": properties}
        return schema | ({"required": names} if names else {})

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return self.steps[-1].output_schema

    @cached_property
    def config_schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"title": "ChainConfig", "type": "object", "properties": {}}
        if self.options:
            schema["properties"] = {"configurable": {"$ref": "#/$defs/Configurable"}}
            schema["$defs"] = {"Configurable": dict(self.options)}
        return schema

    @cached_property
    def digest(self) -> str:
        """Covers everything that affects the answer; credentials and limits do not."""
        return digest([step.behaviour for step in self.steps])

    def check_input(self, value: Any) -> Input:
        """Fills in defaults, drops unknown keys, decodes messages and converts other values to text."""
        data, faults = read_input(self.input_schema, value)
        values: dict[str, Any] = {}
        for name, inner in data.items():
            if not isinstance(inner, list):
                values[name] = as_text(inner)
                continue
            try:
                values[name] = decode_messages(inner, system=self.system_messages)
            except errors.InvalidInput as error:
                faults += error.inside(name).errors
        if faults:
            raise errors.InvalidInput(errors=faults[:MAX_FAULTS])
        return Input(data=data, value=values)

    def load(self) -> None:
        for step in self.every_step:
            step.load()

    def build(self) -> None:
        """Create the objects that the steps need in this event loop, without calling a model.

        Raises InvalidSpec where a step could not run.
        """
        for step in self.every_step:
            step.build()

    async def invoke(self, value: Any, context: RunContext, config: RunnableConfig) -> Any:
        async with aclosing(self._pieces(value, context, streaming=False)) as pieces:
            return self.whole([piece async for piece in pieces])

    def stream(self, value: Any, context: RunContext, config: RunnableConfig) -> AsyncGenerator[Any, None]:
        return self._pieces(value, context, streaming=True)

    async def _pieces(
        self, values: Mapping[str, Any], context: RunContext, *, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        """Run the steps in order and yield the last one's pieces. A step sees the outputs of earlier ones."""
        if self.has_several_steps:
            # Before the first one runs: no step costs anything where a later one cannot run.
            self.build()
        *before, last = self.steps
        for step in before:
            # Earlier steps stream only where the caller asked for inner steps: nobody else reads the pieces.
            run = step.pieces(values, context, path=step.name, streaming=context.shows_parts)
            async with aclosing(run) as pieces:
                output = step.whole([piece async for piece in pieces])
            values = {**values, step.name: output if isinstance(output, BaseMessage) else encode(output)}
        async with aclosing(last.pieces(values, context, path=last.name, streaming=streaming)) as pieces:
            async for piece in pieces:
                yield piece

    def whole(self, pieces: Sequence[Any]) -> Any:
        return self.steps[-1].whole(pieces)
