"""Chains in the admin: steps and fallbacks as rows."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from pydantic import ValidationError as InvalidData

from chains.actions.chains import check_chain_version, publish_chain_version
from chains.admin.jsontext import params_text, parse_json, parse_params
from chains.admin.prompts import name_field
from chains.admin.readable import chain_text
from chains.admin.rows import Row, RowsField, add_row_error
from chains.admin.versioned import VersionedForm
from chains.admin.versions import VersionedAdmin
from chains.models import Chain, ChainVersion, Price, Prompt, PromptLabel, Provider
from chains.runtime.errors import InvalidSpec
from chains.runtime.kinds import check_params
from chains.runtime.spec import LATEST, PRODUCTION, LLMStep, Spec, Target, parse_spec

MAX_STEPS, MAX_FALLBACKS = 20, 5
SUGGESTED = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"}

Choices = Sequence[tuple[str, str]]


class TargetRow(Row):
    """Where a model answers."""

    provider = forms.ChoiceField()
    model = forms.CharField(
        max_length=200, widget=forms.TextInput(attrs={**SUGGESTED, "list": "known-models"})
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
        widget=forms.TextInput(attrs={**SUGGESTED, "list": "known-labels", "placeholder": PRODUCTION}),
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
        widget=forms.Textarea(attrs={**SUGGESTED, "class": "lines", "rows": 2, "placeholder": "top_p = 0.9"}),
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


def step_row(step: LLMStep) -> dict[str, Any]:
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


class ChainForm(VersionedForm):
    rows = ("steps", "fallbacks", "run_s")
    steps = RowsField(StepRow, noun="step", max_rows=MAX_STEPS)
    fallbacks = RowsField(TargetRow, noun="fallback", max_rows=MAX_FALLBACKS, required=False)
    run_s = forms.FloatField(
        required=False,
        min_value=0.1,
        max_value=3600,
        label="Whole run, seconds",
        help_text="Empty: the longest limit of the providers used.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.kinds = dict(Provider.objects.values_list("slug", "kind"))
        disabled = set(Provider.objects.filter(enabled=False).values_list("slug", flat=True))
        providers = [(slug, f"{slug} (switched off)" if slug in disabled else slug) for slug in self.kinds]
        prompts = [(slug, slug) for slug in Prompt.objects.values_list("slug", flat=True)]
        for name in ("steps", "fallbacks"):
            widget: Any = self.fields[name].widget
            widget.form_kwargs = {"providers": providers, "prompts": prompts}

    def typed(self, version: ChainVersion) -> dict[str, Any]:
        spec = version.parsed
        return {
            "steps": [step_row(step) for step in spec.steps],
            "fallbacks": [{"provider": t.provider, "model": t.model} for t in spec.fallbacks],
            "run_s": spec.timeouts.run_s,
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("access") == Chain.Access.GROUPS and not cleaned.get("groups"):
            self.add_error("groups", "Choose at least one group, or let everyone run the chain.")
        return cleaned

    def read_spec(self) -> Spec | None:
        steps, fallbacks = self.cleaned_data["steps"], self.cleaned_data["fallbacks"]
        self._refuse_equal_names(steps)
        self._refuse_unknown_params(steps, fallbacks)
        if self.errors:
            return None
        try:
            return parse_spec(
                {
                    "steps": [step_data(row) for row in steps],
                    "fallbacks": [Target.model_validate(row).model_dump() for row in fallbacks],
                    "timeouts": {"run_s": self.cleaned_data["run_s"]},
                }
            )
        except InvalidSpec as error:
            self.add_error("steps", str(error))
            return None

    def _refuse_equal_names(self, steps: Sequence[Mapping[str, Any]]) -> None:
        times = Counter(row["name"] for row in steps)
        for index, row in enumerate(steps):
            if times[row["name"]] > 1:
                add_row_error(self, "steps", index, "Two steps have this name.", cell="name")

    def _refuse_unknown_params(
        self, steps: Sequence[Mapping[str, Any]], fallbacks: Sequence[Mapping[str, Any]]
    ) -> None:
        for index, row in enumerate(steps):
            for target in (row, *fallbacks):
                try:
                    check_params(self.kinds[target["provider"]], row["extra"])
                except InvalidSpec as error:
                    where = "" if target is row else f"Fallback {target['provider']!r}: "
                    add_row_error(self, "steps", index, f"{where}{error}", cell="extra")
                    break


@admin.register(Chain)
class ChainAdmin(VersionedAdmin):
    form = ChainForm
    list_display = ("slug", "name", "published", "newest", "enabled", "access")
    list_filter = ("enabled", "access")
    fieldsets = [
        (None, {"fields": ["slug", "name", "description", "base"]}),
        (
            "Steps",
            {
                "fields": ["steps"],
                "classes": ["rows-fieldset"],
                "description": "They run in this order. Each sees the input and the answers of the steps "
                "before it; the last answer is the chain's.",
            },
        ),
        (
            "Fallbacks",
            {
                "fields": ["fallbacks"],
                "classes": ["rows-fieldset"],
                "description": "Optional: tried in this order where a step's own model does not begin to "
                "answer.",
            },
        ),
        ("Limits", {"fields": ["run_s"]}),
        ("Who may run it", {"fields": ["enabled", "access", "groups"]}),
        ("This version", {"fields": ["note"]}),
    ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        labels = PromptLabel.objects.order_by("name").values_list("name", flat=True).distinct()
        models = Price.objects.order_by("model").values_list("model", flat=True).distinct()
        suggestions = {
            "known_labels": sorted({PRODUCTION, LATEST, *labels}),
            "known_models": sorted({"demo-coach", "demo-echo", *models}),
        }
        return super().changeform_view(
            request, object_id, form_url, {**suggestions, "has_playground": True, **(extra_context or {})}
        )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_manytomany(
            db_field, request, **{**kwargs, "widget": forms.CheckboxSelectMultiple}
        )

    def publish(self, version: ChainVersion, *, by: Any, label: str) -> bool:
        return publish_chain_version(version=version, by=by, label=label)

    def text_of(self, version: ChainVersion) -> str:
        return chain_text(version.parsed)

    def warn_of_draft(self, request: HttpRequest, version: ChainVersion) -> None:
        try:
            check_chain_version(version)
        except InvalidSpec as error:
            messages.warning(request, f"Version {version.number} cannot run yet. {error}")
