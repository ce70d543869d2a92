"""Code chains in the admin: the facts that come from the code, and the settings of an operator."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from chains.actions.find import Found
from chains.actions.wording import NONE
from chains.admin.audit import changes
from chains.admin.callers import ACCESS_FIELDS, CallersForm
from chains.admin.versions import VersionedAdmin
from chains.models import Chain
from chains.runtime.errors import ChainHubError
from chains.runtime.plans.base import Plan
from chains.runtime.registry import Registered, registered


def entry_of(chain: Chain) -> Registered | None:
    """Return what the code registers for this chain.

    None for a configured chain, and for a code chain whose code is not installed any more.
    """
    return registered(chain.slug) if chain.kind == Chain.Kind.CODE else None


class CodeChainAdmin(admin.ModelAdmin):
    """The change page of one code chain. ChainAdmin provides the list and all other pages."""

    form = CallersForm
    change_form_template = "admin/chains/code_form.html"
    formfield_overrides = VersionedAdmin.formfield_overrides
    readonly_fields = (
        "slug",
        "module",
        "package",
        "time_limit",
        "allowed_config",
        "input_schema",
        "output_schema",
    )
    fieldsets = [
        (None, {"fields": ["slug", "name", "description"]}),
        ("Code", {"fields": ["module", "package", "time_limit"]}),
        (
            "Endpoints and callers",
            {
                "fields": ["endpoints", "allowed_config", "expose_steps", "system_messages"],
                "classes": ["choices-fieldset"],
            },
        ),
        ("Who may run it", {"fields": ACCESS_FIELDS}),
        ("Input", {"fields": ["input_schema"], "classes": ["wide-text"]}),
        ("Output", {"fields": ["output_schema"], "classes": ["wide-text"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [(title, options) for title, options in self.fieldsets if "endpoints" not in options["fields"]]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and entry_of(obj))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        chain = context["original"]
        context |= {
            "title": chain.name or chain.slug,
            "subtitle": None,
            "show_save_and_add_another": False,
            "has_playground": has_playground(chain) and entry_of(chain) is not None,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return " ".join(changes(form)) or "Saved without a change."

    # --- Facts from the code ---------------------------------------------------------------------

    @admin.display(description="registered by")
    def module(self, chain: Chain) -> str:
        entry = entry_of(chain)
        if entry is None:
            return format_html(
                '<span class="badge badge-failed">{}</span> {}',
                "not registered",
                "The code that registered it is gone, so it cannot run. It can be deleted.",
            )
        return format_html(
            "<code>{}</code><br>{}",
            entry.module,
            "It cannot be deleted as long as the code registers it: it would come back. Disable it instead.",
        )

    @admin.display(description="package")
    def package(self, chain: Chain) -> str:
        entry = entry_of(chain)
        return entry.package if entry else NONE

    @admin.display(description="time limit")
    def time_limit(self, chain: Chain) -> str:
        entry = entry_of(chain)
        return f"{entry.timeout_s:g} s for a whole run" if entry else NONE

    @admin.display(description="Config of callers")
    def allowed_config(self, chain: Chain) -> str:
        entry = entry_of(chain)
        names = ", ".join(entry.config_keys) if entry else ""
        return f"{names or 'nothing'} (the code says so)" if entry else NONE

    @admin.display(description="schema")
    def input_schema(self, chain: Chain) -> str:
        return _schema(chain, lambda plan: plan.input_schema)

    @admin.display(description="schema")
    def output_schema(self, chain: Chain) -> str:
        return _schema(chain, lambda plan: plan.output_schema)


def has_playground(chain: Chain) -> bool:
    return chain.enabled and chain.is_open("playground")


def _schema(chain: Chain, part: Callable[[Plan], Any]) -> str:
    entry = entry_of(chain)
    if entry is None:
        return NONE
    try:
        text = json.dumps(part(Found(chain=chain, entry=entry).plan()), ensure_ascii=False, indent=2)
    except ChainHubError as error:
        text = str(error)
    except Exception as error:
        # The schema comes from the chain's own code, which may raise anything. People open this page to see
        # what is wrong, so it must show the error.
        text = f"The code cannot tell: {type(error).__name__}: {error}"
    return format_html('<pre class="readable">{}</pre>', text)
