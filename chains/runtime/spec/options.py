"""Options: what callers may choose. A chain's spec declares them; they are applied before a plan is made."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from chains.runtime.steps import STEP_KINDS
from chains.runtime.steps.base import Option, Step

if TYPE_CHECKING:
    AnyOption = Option
else:
    _options = dict.fromkeys(option for step in STEP_KINDS.values() for option in step.options)
    AnyOption = Annotated[reduce(or_, _options), Field(discriminator="field")]


def options_schema(options: Sequence[Option], steps: Sequence[Step]) -> dict[str, Any]:
    """JSON Schema of what a caller may send under ``configurable``; the defaults are the steps' values."""
    by_name = {step.name: step for step in steps}
    properties = {}
    for option in options:
        title = option.name.replace("_", " ").capitalize()
        schema = {"title": title, **option.json_schema(by_name[option.step])}
        properties[option.name] = schema | ({"description": option.description} if option.description else {})
    return {"title": "Configurable", "type": "object", "properties": properties}


def configured(
    steps: Sequence[Step], options: Sequence[Option], values: Mapping[str, Any]
) -> tuple[Step, ...]:
    """The steps with a caller's choices applied; ``values`` must satisfy ``options_schema``."""
    by_name = {step.name: step for step in steps}
    # Options that replace a step come first, so that the others apply to the replacement.
    for option in sorted(options, key=lambda option: not option.replaces):
        if option.name in values:
            by_name[option.step] = option.applied(by_name[option.step], values[option.name])
    return tuple(by_name.values())


def every_choice(options: Sequence[Option]) -> list[dict[str, Any]]:
    """One ``configurable`` for each value that refers to other records; a check tries them all."""
    return [{option.name: value} for option in options for value in option.leads_to]
