"""The step kinds: each is one file of this package, and one line of this table."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from chains.runtime.steps.base import Step
from chains.runtime.steps.llm import LLMStep
from chains.runtime.steps.text import TextStep

STEP_KINDS: dict[str, type[Step]] = {
    "llm": LLMStep,
    "text": TextStep,
}

DEFAULT_KIND = "llm"
"""The kind of a step that does not name one, as those do that were stored before there were others."""


def _of_its_kind(data: Any, _: ValidatorFunctionWrapHandler) -> Step:
    """The step that ``data`` describes; faults are placed in it as if there were no other kind.

    Pydantic's own way to choose, a discriminator, would add the kind to the place of every fault.
    """
    if isinstance(data, Step):
        return data
    kind = data.get("kind", DEFAULT_KIND) if isinstance(data, dict) else DEFAULT_KIND
    if not isinstance(kind, str) or kind not in STEP_KINDS:
        raise ValidationError.from_exception_data("Step", [_no_such_kind(kind)])
    return STEP_KINDS[kind].model_validate(data)


def _no_such_kind(kind: Any) -> InitErrorDetails:
    text = f"There is no step kind {repr(kind)[:80]}; there are: {', '.join(STEP_KINDS)}."
    return InitErrorDetails(type=PydanticCustomError("step_kind", text), loc=("kind",), input=kind)


if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep = Annotated[reduce(or_, STEP_KINDS.values()), WrapValidator(_of_its_kind)]
