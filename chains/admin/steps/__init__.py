"""The forms of the step kinds: each kind has one file in this package and one item in ``STEP_ROWS``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chains.admin.rows import KIND
from chains.admin.steps.base import Fault, Records, StepRow
from chains.admin.steps.llm import LLMRow
from chains.admin.steps.text import TextRow
from chains.runtime.steps.base import Step, Target

STEP_ROWS: tuple[type[StepRow], ...] = (LLMRow, TextRow)

_by_kind = {row_class.kind: row_class for row_class in STEP_ROWS}


def step_row(step: Step) -> dict[str, Any]:
    """Return a step as the values of its row."""
    return {KIND: step.kind, **_by_kind[step.kind].row_of(step)}


def step_of(row: Mapping[str, Any]) -> Step:
    """Return the step that a cleaned row describes."""
    return _by_kind[row[KIND]].step_of(row)


def step_faults(step: Step, records: Records, *, fallbacks: Sequence[Target]) -> Iterator[Fault]:
    """Yield an error for everything that the step names and ``records`` does not have.

    ``fallbacks`` are those of the chain.
    """
    return _by_kind[step.kind].faults(step, records, fallbacks=fallbacks)
