"""The form, the list and the history of providers."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.html import escape, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from chains.actions.habits import forget
from chains.admin.audit import changes
from chains.admin.providers.asking import HabitsForm, learned_rows, settings_text
from chains.admin.providers.secret import NEW, SECRET_FIELDS, SECRETS, SecretsForm
from chains.admin.providers.trials import TrialPages
from chains.models import Price, Provider
from chains.runtime.providers import KINDS
from chains.runtime.providers.reach import cut_to_base

# Certificates are no secret, but too long for the history.
CERTIFICATES = "ca_bundle"
VIEWED = ("shown_key", "shown_headers", "shown_proxy", "shown_habits")


BASE_URL_HELP = (
    "Where the API is, such as https://api.openai.com/v1. For Azure, any address that its portal shows."
)


def kinds_help() -> SafeString:
    rows = (
        (
            kind.label,
            kind.needs if kind.is_installed else f"cannot be used yet. {kind.how_to_install}",
            ", ".join(sorted(kind.extra_params)) or "none",
        )
        for kind in KINDS.values()
    )
    return format_html_join("", "<p><strong>{}</strong> {} Further parameters: {}.</p>", rows)


class ProviderForm(HabitsForm, SecretsForm):
    """``was_cut``: what was typed as the endpoint had more than its base."""

    was_cut = False

    class Meta:
        widgets = {
            CERTIFICATES: forms.Textarea(attrs={"class": "lines", "rows": 3, "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            self.fields["kind"].help_text = kinds_help()
        if "base_url" in self.fields:
            self.fields["base_url"].help_text = BASE_URL_HELP
        if "splits_thinking" in self.fields:
            # The admin takes help texts for HTML, and this one has tags in it.
            field = self.fields["splits_thinking"]
            field.help_text = escape(field.help_text)

    def clean_base_url(self) -> str:
        typed = str(self.cleaned_data["base_url"]).strip()
        kind = KINDS.get(self.cleaned_data.get("kind", ""))
        base = typed if kind and kind.reads_whole_addresses else cut_to_base(typed)
        self.was_cut = base != typed
        return base


class PriceInline(admin.TabularInline):
    model = Price
    extra = 0
    fields = ("model", "input_usd", "cached_input_usd", "output_usd", "valid_from")
    verbose_name_plural = "prices, in USD per million tokens"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name.endswith("_usd"):
            # The table's heading says of what.
            field.label = db_field.verbose_name.partition(",")[0].capitalize()
        return field


@method_decorator(sensitive_post_parameters(*NEW), name="changeform_view")
class ProviderAdmin(TrialPages):
    form = ProviderForm
    inlines = (PriceInline,)
    change_form_template = "admin/chains/provider_form.html"
    list_display = ("slug", "kind", "base_url", "shown_key", "enabled")
    search_fields = ("slug", "base_url")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Check boxes that remove something are there only where something is stored."""
        if obj and not self.has_change_permission(request, obj):
            return [(None, {"fields": ["slug", "kind", "base_url", "enabled", *VIEWED, "splits_thinking"]})]
        removable = {
            secret.name: (secret.remove,) for secret in SECRETS if obj and getattr(obj, secret.field)
        }
        reaching = ["new_headers", *removable.get("headers", ()), "new_proxy", *removable.get("proxy", ())]
        return [
            (None, {"fields": ["slug", "kind", "base_url", "enabled"]}),
            ("Credential", {"fields": ["new_key", *removable.get("key", ())]}),
            (
                "How it is asked",
                {
                    "classes": _collapsed(obj and (obj.habits or not obj.splits_thinking)),
                    "description": "Automatic asks as OpenAI's newest API does, and learns from what this "
                    "provider refuses. A setting counts for all of its models.",
                    "fields": [
                        ("streaming", "usage_in_streams"),
                        ("token_limit", "sampling"),
                        ("json_schema", "api"),
                        "splits_thinking",
                    ],
                },
            ),
            (
                "Reaching it",
                {
                    "classes": _collapsed(obj and (obj.headers or obj.proxy or obj.ca_bundle)),
                    "fields": [*reaching, CERTIFICATES],
                },
            ),
            (
                "Limits",
                {
                    "fields": [
                        ("connect_timeout_s", "first_token_timeout_s", "chunk_timeout_s"),
                        ("answer_timeout_s", "run_timeout_s", "max_concurrency"),
                    ]
                },
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return VIEWED if obj and not self.has_change_permission(request, obj) else ()

    @admin.display(description="key")
    def shown_key(self, provider: Provider) -> str:
        return provider.key_hint

    @admin.display(description="further headers")
    def shown_headers(self, provider: Provider) -> str:
        return provider.headers_hint

    @admin.display(description="HTTP proxy")
    def shown_proxy(self, provider: Provider) -> str:
        return provider.proxy_hint

    @admin.display(description="how it is asked")
    def shown_habits(self, provider: Provider) -> str:
        return settings_text(provider)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        provider = self.get_object(request, object_id)
        context = self.panels(request, provider) if provider else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def panels(self, request: HttpRequest, provider: Provider) -> dict[str, Any]:
        """Return the template data of what stands beside the form."""
        return {"learned": learned_rows(provider), **self.trial_panel(provider)}

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        form.apply_secrets()
        for secret, done in form.secret_changes.items():
            if done == "cleared":
                text = "cleared, because the endpoint moved to another host. Enter what belongs to it."
                messages.warning(request, f"{secret.stored} {text}")
        if form.was_cut:
            text = "ChainHub adds the rest of an address itself."
            messages.info(request, f"The endpoint is stored as {obj.base_url}. {text}")
        super().save_model(request, obj, form, change)
        if {"kind", "base_url"} & set(form.changed_data) and forget(obj, None):
            messages.info(request, "What refusals had taught is forgotten: another server taught it.")

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        parts = ["Added."] if add else changes(form, leave_out=SECRET_FIELDS | {CERTIFICATES})
        parts += [f"{secret.label} {change}." for secret, change in form.secret_changes.items()]
        if not add and CERTIFICATES in form.changed_data:
            parts.append("CA certificates changed.")
        parts += [price for formset in formsets for price in _price_changes(formset)]
        return " ".join(parts) or "Saved without a change."


def _collapsed(is_used: Any) -> list[str]:
    return [] if is_used else ["collapse"]


def _price_changes(formset: Any) -> list[str]:
    return [
        *(f"Price added: {price}." for price in formset.new_objects),
        *(f"Price changed ({', '.join(fields)}): {price}." for price, fields in formset.changed_objects),
        *(f"Price removed: {price}." for price in formset.deleted_objects),
    ]
