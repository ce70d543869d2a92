"""What callers may choose of a chain: declared as data in its spec, applied before a plan is made."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from chains.runtime.names import Name, Slug
from chains.runtime.steps.base import Frozen
from chains.runtime.steps.llm import LLMStep, Model, Params, Parser, PromptRef

DEFAULT = "default"
"""What a caller sends to choose what the step itself says."""


class Option(Frozen):
    """``name`` is what a caller sends under ``configurable``; it changes the step named ``step``."""

    name: Name
    step: Name
    description: str = Field(default="", max_length=500)


class ModelOption(Option):
    field: Literal["model"] = "model"
    choices: tuple[Model, ...] = Field(min_length=1, max_length=50)

    def json_schema(self, step: LLMStep) -> dict[str, Any]:
        return {"type": "string", "enum": list(dict.fromkeys((step.model, *self.choices)))} | _default(
            step.model
        )

    def applied(self, step: LLMStep, value: Any) -> LLMStep:
        return step.model_copy(update={"model": value})


class TemperatureOption(Option):
    field: Literal["temperature"] = "temperature"
    minimum: Annotated[float, Field(ge=0, le=2)] = 0
    maximum: Annotated[float, Field(ge=0, le=2)] = 2

    @model_validator(mode="after")
    def _leaves_room(self) -> "TemperatureOption":
        return _in_order(self)

    def json_schema(self, step: LLMStep) -> dict[str, Any]:
        limits = {"type": "number", "minimum": self.minimum, "maximum": self.maximum}
        return limits | _default(step.params.temperature)

    def applied(self, step: LLMStep, value: Any) -> LLMStep:
        return _with_params(step, temperature=float(value))


class MaxTokensOption(Option):
    field: Literal["max_tokens"] = "max_tokens"
    minimum: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    maximum: Annotated[int, Field(ge=1, le=1_000_000)]

    @model_validator(mode="after")
    def _leaves_room(self) -> "MaxTokensOption":
        return _in_order(self)

    def json_schema(self, step: LLMStep) -> dict[str, Any]:
        limits = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return limits | _default(step.params.max_tokens)

    def applied(self, step: LLMStep, value: Any) -> LLMStep:
        return _with_params(step, max_tokens=int(value))


class PromptOption(Option):
    field: Literal["prompt"] = "prompt"
    choices: dict[Name, PromptRef] = Field(min_length=1, max_length=50)

    def json_schema(self, step: LLMStep) -> dict[str, Any]:
        return _named(self.choices)

    def applied(self, step: LLMStep, value: Any) -> LLMStep:
        return step if value == DEFAULT else step.model_copy(update={"prompt": self.choices[value]})


class StepChange(Frozen):
    """An alternative to a step: the parts that differ; what is not named stays."""

    prompt: PromptRef | None = None
    provider: Slug | None = None
    model: Model | None = None
    params: Params | None = None
    parser: Parser | None = None


class StepOption(Option):
    field: Literal["step"] = "step"
    choices: dict[Name, StepChange] = Field(min_length=1, max_length=50)

    def json_schema(self, step: LLMStep) -> dict[str, Any]:
        return _named(self.choices)

    def applied(self, step: LLMStep, value: Any) -> LLMStep:
        if value == DEFAULT:
            return step
        change = self.choices[value]
        parts = {name: getattr(change, name) for name in StepChange.model_fields}
        return step.model_copy(update={name: part for name, part in parts.items() if part is not None})


AnyOption = Annotated[
    ModelOption | TemperatureOption | MaxTokensOption | PromptOption | StepOption,
    Field(discriminator="field"),
]


def options_schema(options: tuple[AnyOption, ...], steps: tuple[LLMStep, ...]) -> dict[str, Any]:
    """JSON Schema of what a caller may send under ``configurable``, with the steps' own as defaults."""
    by_name = {step.name: step for step in steps}
    properties = {}
    for option in options:
        title = option.name.replace("_", " ").capitalize()
        schema = {"title": title, **option.json_schema(by_name[option.step])}
        properties[option.name] = schema | ({"description": option.description} if option.description else {})
    return {"title": "Configurable", "type": "object", "properties": properties}


def configured(
    steps: tuple[LLMStep, ...], options: tuple[AnyOption, ...], values: Mapping[str, Any]
) -> tuple[LLMStep, ...]:
    """The steps as a caller wants them; ``values`` satisfy ``options_schema``."""
    by_name = {step.name: step for step in steps}
    # An alternative step first: what else is chosen applies to whichever step runs.
    for option in sorted(options, key=lambda option: option.field != "step"):
        if option.name in values:
            by_name[option.step] = option.applied(by_name[option.step], values[option.name])
    return tuple(by_name.values())


def every_choice(options: tuple[AnyOption, ...]) -> list[dict[str, Any]]:
    """One ``configurable`` for each value that leads to other records: what a check has to try."""
    return [
        {option.name: choice}
        for option in options
        if isinstance(option, ModelOption | PromptOption | StepOption)
        for choice in option.choices
    ]


def _default(value: Any) -> dict[str, Any]:
    return {} if value is None else {"default": value}


def _named(choices: Mapping[str, Any]) -> dict[str, Any]:
    names = [DEFAULT, *(name for name in choices if name != DEFAULT)]
    return {"type": "string", "enum": names, "default": DEFAULT}


def _with_params(step: LLMStep, **changes: Any) -> LLMStep:
    return step.model_copy(update={"params": step.params.model_copy(update=changes)})


def _in_order(option: Any) -> Any:
    if option.minimum > option.maximum:
        raise ValueError("The minimum is above the maximum.")
    return option
