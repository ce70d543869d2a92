"""The step kinds as people edit them: each is one file of this package, and one line of this list."""

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
    """What the form shows of a step."""
    return {KIND: step.kind, **_by_kind[step.kind].row_of(step)}


def step_of(row: Mapping[str, Any]) -> Step:
    """The step that a cleaned row describes."""
    return _by_kind[row[KIND]].step_of(row)


def step_faults(step: Step, records: Records, *, fallbacks: Sequence[Target]) -> Iterator[Fault]:
    """What the step asks for and the records do not have; ``fallbacks`` are the chain's."""
    return _by_kind[step.kind].faults(step, records, fallbacks=fallbacks)
