"""A chain's configuration as data. It is validated when it is saved; nothing in it is executed as code."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from chains.runtime.data import Frozen
from chains.runtime.errors import InvalidSpec
from chains.runtime.spec.options import AnyOption
from chains.runtime.steps import AnyStep
from chains.runtime.steps.base import DEFAULT, Reference, Target
from chains.runtime.wire.fielderrors import describe

Seconds = Annotated[float, Field(gt=0, le=3600)]

MAX_STEPS, MAX_FALLBACKS, MAX_OPTIONS = 20, 5, 20


class Timeouts(Frozen):
    """Overrides of the provider's limits for this chain, in seconds."""

    run_s: Seconds | None = None


class Spec(Frozen):
    """Ordered steps; the output of the last one is the answer.

    ``fallbacks`` are the targets that every step tries after its own. ``configurable`` lists the options
    that callers may choose.
    """

    steps: tuple[AnyStep, ...] = Field(min_length=1, max_length=MAX_STEPS)
    fallbacks: tuple[Target, ...] = Field(default=(), max_length=MAX_FALLBACKS)
    timeouts: Timeouts = Timeouts()
    configurable: tuple[AnyOption, ...] = Field(default=(), max_length=MAX_OPTIONS)

    @field_validator("steps")
    @classmethod
    def _names_differ(cls, steps: tuple[AnyStep, ...]) -> tuple[AnyStep, ...]:
        names = [step.name for step in steps]
        if len(set(names)) != len(names):
            raise ValueError("Two steps have the same name.")
        return steps

    @model_validator(mode="after")
    def _options_fit(self) -> "Spec":
        names = [option.name for option in self.configurable]
        if len(set(names)) != len(names):
            raise ValueError("Two configurable fields have the same name.")
        steps = {step.name: step for step in self.steps}
        for option in self.configurable:
            if option.step not in steps:
                raise ValueError(f"The configurable field {option.name!r}: there is no step {option.step!r}.")
            step = steps[option.step]
            if not step.offers(option):
                what = option.field.replace("_", " ")
                raise ValueError(
                    f"The configurable field {option.name!r}: "
                    f"a step of the kind {step.kind!r} has no {what} to choose."
                )
            if DEFAULT in getattr(option, "choices", ()) and option.field != "model":
                raise ValueError(f"The configurable field {option.name!r}: {DEFAULT!r} means the step's own.")
        return self

    def references(self) -> Iterator[Reference]:
        """The prompts and targets that the steps and fallbacks refer to."""
        for step in self.steps:
            yield from step.references()
        yield from self.fallbacks

    def possible_references(self) -> Iterator[Reference]:
        """``references``, and those of every value that callers may choose."""
        yield from self.references()
        steps = {step.name: step for step in self.steps}
        for option in self.configurable:
            for value in option.leads_to:
                yield from option.applied(steps[option.step], value).references()


def parse_spec(data: Any) -> Spec:
    """Parse stored or submitted data; raises InvalidSpec, which names the path of each fault."""
    try:
        return Spec.model_validate(data)
    except ValidationError as error:
        raise InvalidSpec(describe(error)) from error
