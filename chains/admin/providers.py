"""Providers in the admin. An API key can be entered, but no page ever shows it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from chains.admin.audit import changes
from chains.models import Price, Provider
from chains.runtime.providers import KINDS

BASE_URL_HELP = (
    "Where the API is, such as https://api.openai.com/v1. For Azure, any address that its portal shows."
)
KEY_FIELDS = frozenset({"new_key", "remove_key"})


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


class ProviderForm(forms.ModelForm):
    """The form of a provider. The stored key is no field of this form, so no page can render it."""

    new_key = forms.CharField(
        required=False,
        max_length=1000,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
    )
    remove_key = forms.BooleanField(required=False, label="Remove the stored key")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fields["kind"].help_text = kinds_help()
        self.fields["base_url"].help_text = BASE_URL_HELP
        hint = f"Now: {self.instance.key_hint}." if self.instance.api_key else "Now: no key."
        self.fields[
            "new_key"
        ].help_text = (
            f"{hint} Leave it empty to keep that. It is cleared when the endpoint moves to another host."
        )

    def clean_new_key(self) -> str:
        key = str(self.cleaned_data["new_key"])
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValidationError("A key has no spaces and no letters beyond ASCII.")
        return key

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("new_key") and cleaned.get("remove_key"):
            self.add_error("remove_key", "Either a new key or none.")
        return cleaned

    def _post_clean(self) -> None:
        # Compare before super() changes the instance: it still has the endpoint that the key belongs to.
        stored = self.instance.api_key
        moved = bool(stored) and not self.instance.has_same_host(
            self.cleaned_data.get("base_url", self.instance.base_url)
        )
        self.key_change = self._key_change(stored=stored, moved=moved)
        super()._post_clean()  # type: ignore[misc]
        if self.errors and self.cleaned_data.get("new_key"):
            self.add_error("new_key", "Enter the key again: it is not sent back to the page.")

    def _key_change(self, *, stored: str, moved: bool) -> str:
        """Return what happens to the stored key: "set", "removed", "cleared", or "" if it stays."""
        if self.cleaned_data.get("new_key"):
            return "set"
        if self.cleaned_data.get("remove_key"):
            return "removed" if stored else ""
        return "cleared" if moved else ""


class PriceInline(admin.TabularInline):
    model = Price
    extra = 0
    verbose_name_plural = "prices, in USD per million tokens"


@method_decorator(sensitive_post_parameters("new_key"), name="changeform_view")
class ProviderAdmin(admin.ModelAdmin):
    form = ProviderForm
    inlines = (PriceInline,)
    list_display = ("slug", "kind", "base_url", "shown_key", "enabled")
    search_fields = ("slug", "base_url")
    fieldsets = [
        (None, {"fields": ["slug", "kind", "base_url", "enabled"]}),
        ("Credential", {"fields": ["new_key", "remove_key"]}),
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

    @admin.display(description="key")
    def shown_key(self, provider: Provider) -> str:
        return provider.key_hint

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        key_change = form.key_change
        if key_change == "set":
            obj.api_key = form.cleaned_data["new_key"]
        elif key_change:
            obj.api_key = ""
        if key_change == "cleared":
            messages.warning(
                request,
                "The stored key is cleared, because the endpoint moved to another host. Enter a key for it.",
            )
        super().save_model(request, obj, form, change)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        parts = ["Added."] if add else changes(form, leave_out=KEY_FIELDS)
        if form.key_change:
            parts.append(f"API key {form.key_change}.")
        parts += [price for formset in formsets for price in _price_changes(formset)]
        return " ".join(parts) or "Saved without a change."


def _price_changes(formset: Any) -> list[str]:
    return [
        *(f"Price added: {price}." for price in formset.new_objects),
        *(f"Price changed ({', '.join(fields)}): {price}." for price, fields in formset.changed_objects),
        *(f"Price removed: {price}." for price in formset.deleted_objects),
    ]


admin.site.register(Provider, ProviderAdmin)
