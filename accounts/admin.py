"""Users and API keys in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html

from accounts.forms import NewKeyForm
from accounts.keys import expiry_in, save_with_new_key
from accounts.models import ApiKey, User

admin.site.register(User, UserAdmin)


class AdminNewKeyForm(NewKeyForm):
    class Meta(NewKeyForm.Meta):
        fields = ["user", "name"]


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = (
        "name",
        "user",
        "shown_prefix",
        "created_at",
        "expires_at",
        "last_used_at",
        "status",
    )
    list_filter = ("revoked_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("=id", "name", "prefix", "user__username")
    date_hierarchy = "created_at"
    actions = ("revoke_selected",)
    autocomplete_fields = ("user",)

    @admin.display(description="key", ordering="prefix")
    def shown_prefix(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Runs refer to their key, so a key is revoked and never deleted.
        return False

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("user", "name", "days")
        return ("name", *self.get_readonly_fields(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        when = ("created_at", "expires_at", "last_used_at", "revoked_at")
        return ("id", "user", "shown_prefix", "status", *when)

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj is None:
            kwargs["form"] = AdminNewKeyForm
        return super().get_form(request, obj, change, **kwargs)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm, change: bool) -> None:
        if change:
            # Save the name only: another process may have used or revoked the key since this form read it.
            obj.save(update_fields=["name"])
            return
        obj.expires_at = expiry_in(form.cleaned_data["days"])
        issued = save_with_new_key(obj)
        text = "The key of {}: <code>{}</code> Copy it now, it is not shown again."
        messages.success(request, format_html(text, obj.user, issued.secret))

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key in this response. A redirect would have to carry it in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"New API key: {obj.name}",
            "opts": self.opts,
            "key": obj,
        }
        response = TemplateResponse(request, "accounts/admin_key_created.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke selected keys", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None))
        for key in keys:
            key.revoke()
            self.log_change(request, key, "Revoked.")
        noun = "key" if len(keys) == 1 else "keys"
        messages.success(request, f"{len(keys)} {noun} revoked.")
