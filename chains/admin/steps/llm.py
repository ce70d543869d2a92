"""Steps and fallbacks of a chain, as rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from pydantic import ValidationError as InvalidData

from chains.admin.cells import VERBATIM, name_field
from chains.admin.rows import Row
from chains.runtime.names import PRODUCTION
from chains.runtime.steps.llm import LLMStep
from chains.runtime.wire.lines import params_text, parse_json, parse_params

Choices = Sequence[tuple[str, str]]


class TargetRow(Row):
    """Where a model answers."""

    provider = forms.ChoiceField()
    model = forms.CharField(
        max_length=200, widget=forms.TextInput(attrs={**VERBATIM, "list": "known-models"})
    )

    def __init__(self, *args: Any, providers: Choices = (), prompts: Choices = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["provider"].choices = [("", "Choose"), *providers]  # type: ignore[attr-defined]


class StepRow(TargetRow):
    name = name_field(help_text="Later steps use the answer as {name}.")
    prompt = forms.ChoiceField()
    ref = forms.RegexField(
        r"^[a-z0-9][a-z0-9_-]{0,63}$",
        label="Prompt version",
        required=False,
        error_messages={"invalid": "A label such as production, or a number."},
        widget=forms.TextInput(attrs={**VERBATIM, "list": "known-labels", "placeholder": PRODUCTION}),
        help_text="A label or a number.",
    )
    temperature = forms.FloatField(
        required=False, min_value=0, max_value=2, widget=forms.NumberInput(attrs={"step": "any"})
    )
    max_tokens = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)
    parser = forms.ChoiceField(
        label="Answer is",
        choices=[
            ("text", "Text"),
            ("message", "The whole message"),
            ("json", "JSON"),
            ("list", "A list, separated by commas"),
            ("schema", "JSON that fits a schema"),
        ],
        initial="text",
    )
    json_schema = forms.CharField(
        required=False,
        label="JSON Schema of the answer",
        widget=forms.Textarea(attrs={"class": "template", "rows": 6, "spellcheck": "false"}),
    )
    extra = forms.CharField(
        required=False,
        label="Further parameters",
        widget=forms.Textarea(attrs={**VERBATIM, "class": "lines", "rows": 2, "placeholder": "top_p = 0.9"}),
        help_text="One in each line: name = value.",
    )
    field_order = ("name", "prompt", "ref", "provider", "model", "temperature", "max_tokens", "parser")

    def __init__(self, *args: Any, prompts: Choices = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["prompt"].choices = [("", "Choose"), *prompts]  # type: ignore[attr-defined]

    def clean_ref(self) -> str:
        return self.cleaned_data["ref"] or PRODUCTION

    def clean_extra(self) -> dict[str, Any]:
        try:
            return parse_params(self.cleaned_data["extra"])
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def clean_json_schema(self) -> Any:
        if self.cleaned_data.get("parser") != "schema":
            return None
        try:
            return parse_json(self.cleaned_data["json_schema"])
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> None:
        if self.errors:
            return
        try:
            LLMStep.model_validate(step_data(self.cleaned_data))
        except InvalidData as error:
            for fault in error.errors():
                self.add_error(cell_of(fault["loc"]), fault["msg"].removeprefix("Value error, "))


def cell_of(loc: tuple[int | str, ...]) -> str | None:
    """The cell that a fault of a step belongs to."""
    if loc[:1] == ("parser",):
        return "json_schema"
    if loc[:1] == ("prompt",):
        return "ref" if loc[-1] == "ref" else "prompt"
    if loc[:1] == ("params",):
        return str(loc[1]) if len(loc) > 1 else "extra"
    return str(loc[0]) if loc and loc[0] in ("name", "provider", "model") else None


def step_data(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "prompt": {"slug": row["prompt"], "ref": row["ref"]},
        "provider": row["provider"],
        "model": row["model"],
        "params": {
            "temperature": row["temperature"],
            "max_tokens": row["max_tokens"],
            "extra": row["extra"],
        },
        "parser": {"kind": row["parser"], "json_schema": row["json_schema"]},
    }


def step_row(step: Any) -> dict[str, Any]:
    schema = step.parser.json_schema
    return {
        "name": step.name,
        "prompt": step.prompt.slug,
        "ref": step.prompt.ref,
        "provider": step.provider,
        "model": step.model,
        "temperature": step.params.temperature,
        "max_tokens": step.params.max_tokens,
        "parser": step.parser.kind,
        "json_schema": json.dumps(schema, ensure_ascii=False, indent=2) if schema else "",
        "extra": params_text(step.params.extra),
    }
