"""Chains in the admin. A configured chain's steps, fallbacks and options are edited as rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html

from accounts.models import User
from chains.actions.chains import check_chain_version, publish_chain_version
from chains.actions.codechains import record_registered
from chains.admin.callers import ACCESS_FIELDS, CALLER_FIELDS, CallersForm, config_keys_field
from chains.admin.codechains import CodeChainAdmin, entry_of, has_playground
from chains.admin.options import OptionRow, choice_faults, option_of, option_row
from chains.admin.readable import chain_text
from chains.admin.rows import RowsField, add_row_error
from chains.admin.steps import STEP_ROWS, step_faults, step_of, step_row
from chains.admin.steps.base import Records, TargetRow
from chains.admin.versioned import VersionedForm
from chains.admin.versions import VersionedAdmin
from chains.models import Chain, ChainVersion, Price, PromptLabel
from chains.runtime.errors import InvalidSpec
from chains.runtime.names import LATEST, PRODUCTION
from chains.runtime.registry import registered
from chains.runtime.spec.chain import MAX_FALLBACKS, MAX_OPTIONS, MAX_STEPS, Spec, parse_spec
from chains.runtime.steps.base import Step, Target

Typed = Sequence[Mapping[str, Any]]


class ChainForm(CallersForm, VersionedForm):
    rows = ("steps", "fallbacks", "run_s", "configurable")
    steps = RowsField(*STEP_ROWS, noun="step", max_rows=MAX_STEPS)
    fallbacks = RowsField(TargetRow, noun="fallback", max_rows=MAX_FALLBACKS, required=False)
    configurable = RowsField(OptionRow, noun="choice", max_rows=MAX_OPTIONS, required=False)
    config_keys = config_keys_field()
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
        self.records = Records()
        for name in ("steps", "fallbacks"):
            widget: Any = self.fields[name].widget
            widget.form_kwargs = {"records": self.records}

    def typed(self, version: ChainVersion) -> dict[str, Any]:
        spec = version.parsed
        return {
            "steps": [step_row(step) for step in spec.steps],
            "fallbacks": [{"provider": t.provider, "model": t.model} for t in spec.fallbacks],
            "run_s": spec.timeouts.run_s,
            "configurable": [option_row(option) for option in spec.configurable],
        }

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        if entry := registered(slug):
            raise ValidationError(f"The module {entry.module} registers a chain of this name.")
        return slug

    def read_spec(self) -> Spec | None:
        rows, options = self.cleaned_data["steps"], self.cleaned_data["configurable"]
        steps = [step_of(row) for row in rows]
        fallbacks = [Target.model_validate(row) for row in self.cleaned_data["fallbacks"]]
        self._refuse_equal_names("steps", rows, "Two steps have this name.")
        self._refuse_equal_names("configurable", options, "Callers choose something else by this name.")
        self._refuse_faults(steps, fallbacks)
        self._refuse_unfit_options(options, {step.name: step for step in steps})
        if self.errors:
            return None
        try:
            spec = parse_spec(
                {
                    "steps": steps,
                    "fallbacks": fallbacks,
                    "timeouts": {"run_s": self.cleaned_data["run_s"]},
                    "configurable": [option_of(row).model_dump() for row in options],
                }
            )
        except InvalidSpec as error:
            self.add_error("steps", str(error))
            return None
        for index, fault in choice_faults(spec, self.records):
            add_row_error(self, "configurable", index, fault, cell="choices")
        return spec

    def _refuse_equal_names(self, field: str, rows: Typed, message: str) -> None:
        times = Counter(row["name"] for row in rows)
        for index, row in enumerate(rows):
            if times[row["name"]] > 1:
                add_row_error(self, field, index, message, cell="name")

    def _refuse_faults(self, steps: Sequence[Step], fallbacks: Sequence[Target]) -> None:
        for index, step in enumerate(steps):
            for cell, fault in step_faults(step, self.records, fallbacks=fallbacks):
                add_row_error(self, "steps", index, fault, cell=cell)

    def _refuse_unfit_options(self, options: Typed, steps: Mapping[str, Step]) -> None:
        for index, row in enumerate(options):
            step = steps.get(row["step"])
            if step is None:
                text = f"No step has this name. There is {', '.join(sorted(steps))}."
                add_row_error(self, "configurable", index, text, cell="step")
            elif not step.offers(option_of(row)):
                text = f"Of {step.name!r}, a step of the kind {step.kind!r}, callers cannot choose this."
                add_row_error(self, "configurable", index, text, cell="field")


@admin.register(Chain)
class ChainAdmin(VersionedAdmin):
    """The admin of chains. A code chain has another change page, and no versions."""

    form = ChainForm
    list_display = ("slug", "name", "kind", "published", "newest", "enabled", "open_to")
    list_filter = ("kind", "enabled", "access")
    actions = (*VersionedAdmin.actions, "delete_selected")
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
        (
            "What callers may choose",
            {
                "fields": ["configurable"],
                "classes": ["rows-fieldset"],
                "description": "Optional: a caller who sends nothing gets the steps as they are above. "
                "Nothing else of a step can be changed from outside.",
            },
        ),
        ("Endpoints and callers", {"fields": CALLER_FIELDS, "classes": ["choices-fieldset"]}),
        ("Who may run it", {"fields": ACCESS_FIELDS}),
        ("This version", {"fields": ["note"]}),
    ]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.code_chains = CodeChainAdmin(self.model, self.admin_site)

    # --- The list --------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        try:
            record_registered()
        except ImproperlyConfigured as error:
            messages.error(request, str(error))
        return super().changelist_view(request, extra_context)

    @admin.display(description="production", ordering=F("production_number").asc(nulls_first=True))
    def published(self, obj: Any) -> str:
        if obj.kind == Chain.Kind.SPEC:
            return super().published(obj)
        if entry := entry_of(obj):
            return format_html('<span class="badge badge-succeeded">{}</span>', entry.package or "in code")
        return format_html('<span class="badge badge-failed">{}</span>', "not registered")

    @admin.display(description="access", ordering="access")
    def open_to(self, chain: Chain) -> str:
        return "everyone" if chain.access == Chain.Access.EVERYONE else "groups"

    @admin.action(description="Publish the latest version", permissions=["change"])
    def publish_latest(self, request: HttpRequest, queryset: QuerySet) -> None:
        for chain in queryset.filter(kind=Chain.Kind.CODE):
            messages.info(request, f"{chain} is in code: the code that runs is its only version.")
        super().publish_latest(request, queryset.filter(kind=Chain.Kind.SPEC))

    @admin.action(description="Delete selected chains", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet) -> Any:
        kept = [chain for chain in queryset if entry_of(chain)]
        if not kept:
            return delete_selected(self, request, queryset)
        for chain in kept:
            messages.error(request, not_deleted(chain))
        return None

    # --- One chain -------------------------------------------------------------------------------

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        chain = self.get_object(request, object_id)
        if chain and chain.kind == Chain.Kind.CODE:
            return self.code_chains.change_view(request, object_id, *args, **kwargs)
        return super().change_view(request, object_id, *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        chain = self.get_object(request, object_id)
        if chain and entry_of(chain) and self.has_view_permission(request, chain):
            messages.error(request, not_deleted(chain))
            return HttpResponseRedirect(self._url("change", chain))
        return super().delete_view(request, object_id, *args, **kwargs)

    def form_context(self, versioned: Any) -> dict[str, Any]:
        labels = PromptLabel.objects.order_by("name").values_list("name", flat=True).distinct()
        models = Price.objects.order_by("model").values_list("model", flat=True).distinct()
        return {
            "known_labels": sorted({PRODUCTION, LATEST, *labels}),
            "known_models": sorted({"demo-coach", "demo-echo", *models}),
            "has_playground": versioned is not None and has_playground(versioned),
        }

    def publish(self, version: ChainVersion, *, by: User | None, label: str) -> bool:
        return publish_chain_version(version=version, by=by, label=label)

    def text_of(self, version: ChainVersion) -> str:
        return chain_text(version.parsed)

    def templates_of(self, version: ChainVersion) -> Iterator[tuple[str, str]]:
        for step in version.parsed.steps:
            for template in step.templates():
                yield f"Step {step.name!r}", template

    def warn_of_draft(self, request: HttpRequest, version: ChainVersion) -> None:
        try:
            check_chain_version(version)
        except InvalidSpec as error:
            messages.warning(request, f"Version {version.number} cannot run yet. {error}")


def not_deleted(chain: Chain) -> str:
    return f"{chain} is not deleted: the code registers it, so it would come back. Disable it instead."
