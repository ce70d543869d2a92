"""The kinds of steps in the admin."""

from chains.admin.steps import STEP_ROWS
from chains.runtime.steps import STEP_KINDS


def test_every_kind_of_step_has_its_form():
    assert {row.kind: row.step_class for row in STEP_ROWS} == STEP_KINDS
