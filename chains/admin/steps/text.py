"""The row of the step kind ``text``."""

from collections.abc import Mapping
from typing import Any

from chains.admin.cells import TemplateField
from chains.admin.steps.base import StepRow
from chains.runtime.steps.text import TextStep


class TextRow(StepRow):
    kind, kind_label = "text", "Text"
    step_class = TextStep

    template = TemplateField(
        label="Text", help_text="Values are written in as {name}; a brace itself is {{ or }}."
    )

    @classmethod
    def data_of(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": row["name"], "template": row["template"]}

    @classmethod
    def row_of(cls, step: TextStep) -> dict[str, Any]:
        return {"name": step.name, "template": step.template}
