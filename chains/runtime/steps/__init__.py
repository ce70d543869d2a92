"""The step kinds. Each kind is one file of this package and one row of ``STEP_KINDS``."""

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
"""The kind of a step without ``kind``: steps that were stored before there were other kinds have none."""


def _of_its_kind(data: Any, _: ValidatorFunctionWrapHandler) -> Step:
    """Validate ``data`` as a step of its kind.

    A discriminator of pydantic's is not used, because it would add the kind to the ``loc`` of every error.
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
