"""The options of a chain that callers may choose, as rows of the form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.utils.html import format_html
from pydantic import TypeAdapter
from pydantic import ValidationError as InvalidData

from chains.admin.cells import VERBATIM, name_field
from chains.admin.optiontext import choices_text, parse_choices
from chains.admin.rows import Row
from chains.admin.steps import step_faults
from chains.admin.steps.base import Records
from chains.runtime.spec.chain import Spec
from chains.runtime.spec.options import AnyOption
from chains.runtime.steps.base import DEFAULT
from chains.runtime.steps.llm import LLMStep, NumberOption

OPTION: TypeAdapter[AnyOption] = TypeAdapter(AnyOption)
WITH_LIMITS = {
    kind.model_fields["field"].default for kind in LLMStep.options if issubclass(kind, NumberOption)
}


def choices_help() -> str:
    """Return a help text for each kind of option. The style sheet shows that of the selected kind."""
    return format_html(
        '<span class="for-model">One in each line. The model of the step can be chosen too.</span> '
        '<span class="for-prompt">One in each line: <code>name = prompt@version</code>. Callers send the '
        "name, or <code>{default}</code> for the prompt of the step.</span> "
        '<span class="for-step">One in each line, with what differs from the step: '
        '<code>name = {{"provider": "…", "model": "…", "prompt": {{"slug": "…"}}, '
        '"params": {{"temperature": 1}}}}</code>. Callers send the name, or <code>{default}</code>.</span>',
        default=DEFAULT,
    )


class OptionRow(Row):
    name = name_field(help_text="Callers send it under configurable.")
    step = name_field(help_text="The name of the step that it changes.")
    field = forms.ChoiceField(
        label="Callers choose",
        choices=[
            ("model", "The model"),
            ("temperature", "The temperature"),
            ("max_tokens", "The most tokens of an answer"),
            ("prompt", "The prompt"),
            ("step", "Another form of the step"),
        ],
        initial="model",
    )
    choices = forms.CharField(
        required=False,
        help_text=choices_help(),
        widget=forms.Textarea(attrs={**VERBATIM, "class": "lines", "rows": 3}),
    )
    minimum = forms.FloatField(
        required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=format_html(
            '<span class="for-temperature">{}</span><span class="for-max_tokens">{}</span>',
            "Empty: 0.",
            "Empty: 1.",
        ),
    )
    maximum = forms.FloatField(
        required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=format_html('<span class="for-temperature">{}</span>', "Empty: 2."),
    )
    description = forms.CharField(required=False, max_length=500, help_text="Shown beside the field.")

    def clean(self) -> None:
        if self.errors:
            return
        try:
            option_of(self.cleaned_data)
        except InvalidData as error:
            for fault in error.errors():
                self.add_error(*fault_of(fault["loc"][1:], fault["msg"].removeprefix("Value error, ")))
        except ValueError as error:
            self.add_error("choices", str(error))


def option_of(row: Mapping[str, Any]) -> AnyOption:
    """Return the option that a cleaned row describes.

    Raises ValueError for a line that cannot be parsed, and pydantic's ValidationError for invalid values.
    """
    data = {name: row[name] for name in ("name", "step", "field", "description")}
    if row["field"] in WITH_LIMITS:
        data |= {name: row[name] for name in ("minimum", "maximum") if row[name] is not None}
    else:
        data["choices"] = parse_choices(row["field"], row["choices"])
        if row["field"] != "model" and DEFAULT in data["choices"]:
            raise ValueError(f"{DEFAULT!r} means the step itself: give it another name.")
    return OPTION.validate_python(data)


def fault_of(loc: Sequence[int | str], text: str) -> tuple[str, str]:
    """Return the cell that an error belongs to, and the error's text with its place in that cell."""
    if not loc:
        return "maximum", text
    cell, *place = loc
    # People count lines from one. Pydantic adds "[key]" to the location of a name that is invalid.
    parts = [f"Choice {part + 1}" if isinstance(part, int) else part for part in place if part != "[key]"]
    return str(cell), ": ".join([" → ".join(parts), text] if parts else [text])


def option_row(option: AnyOption) -> dict[str, Any]:
    return {
        "name": option.name,
        "step": option.step,
        "field": option.field,
        "choices": choices_text(option),
        "minimum": _shown(getattr(option, "minimum", None)),
        "maximum": _shown(getattr(option, "maximum", None)),
        "description": option.description,
    }


def _shown(limit: float | None) -> float | None:
    return limit if limit is None or limit % 1 else int(limit)


def choice_faults(spec: Spec, records: Records) -> Iterator[tuple[int, str]]:
    """Yield an error for each choice that leads to a record or parameter that does not exist.

    Each item is the option's index in ``configurable`` and a text.
    """
    steps = {step.name: step for step in spec.steps}
    for index, option in enumerate(spec.configurable):
        for choice in option.leads_to:
            step = option.applied(steps[option.step], choice)
            for _, fault in step_faults(step, records, fallbacks=spec.fallbacks):
                yield index, f"{choice}: {fault}"
