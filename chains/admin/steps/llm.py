"""The row of the step kind ``llm``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from chains.admin.cells import VERBATIM
from chains.admin.steps.base import Fault, Records, StepRow, TargetRow
from chains.models import Prompt
from chains.runtime.errors import InvalidSpec
from chains.runtime.names import PRODUCTION, SLUG_PATTERN
from chains.runtime.providers import check_params
from chains.runtime.steps.base import Target
from chains.runtime.steps.llm import LLMStep
from chains.runtime.wire.lines import params_text, parse_json, parse_params


class LLMRow(TargetRow, StepRow):
    kind, kind_label = "llm", "Model call"
    step_class = LLMStep

    prompt = forms.ChoiceField()
    ref = forms.RegexField(
        SLUG_PATTERN,
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

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["prompt"].choices = self.records.slug_choices(Prompt)  # type: ignore[attr-defined]

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

    @classmethod
    def data_of(cls, row: Mapping[str, Any]) -> dict[str, Any]:
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

    @classmethod
    def row_of(cls, step: LLMStep) -> dict[str, Any]:
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

    @classmethod
    def cell_of(cls, place: tuple[int | str, ...]) -> str | None:
        if place[:1] == ("parser",):
            return "json_schema"
        if place[:1] == ("prompt",):
            return "ref" if place[-1] == "ref" else "prompt"
        if place[:1] == ("params",):
            return str(place[1]) if len(place) > 1 else "extra"
        return super().cell_of(place)

    @classmethod
    def faults(cls, step: LLMStep, records: Records, *, fallbacks: Sequence[Target]) -> Iterator[Fault]:
        """Yield an error for a prompt or provider that does not exist, or a parameter that is unknown."""
        if step.prompt.slug not in records.slugs(Prompt):
            yield "prompt", f"There is no prompt {step.prompt.slug!r}."
        if step.provider not in records.providers:
            yield "provider", f"There is no provider {step.provider!r}."
            return
        for target in (step.target, *fallbacks):
            try:
                check_params(records.providers[target.provider].kind, step.params.extra)
            except InvalidSpec as error:
                where = "" if target == step.target else f"Fallback {target.provider!r}: "
                yield "extra", f"{where}{error}"
                return
