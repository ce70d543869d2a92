"""Runs in the admin, for operators to read and search."""

import json
import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.timezone import get_current_timezone, localdate, localtime

from chains.actions import wording
from chains.actions.wording import NONE
from chains.admin.calls import call_rows
from chains.models import Feedback, Prompt, Run

# Subqueries: the feedback of the outer query's run.
FEEDBACK = Feedback.objects.filter(run=OuterRef("pk")).order_by()
THUMBS = FEEDBACK.filter(key="thumbs")


class DayFilter(admin.SimpleListFilter):
    """Shows the runs of one day.

    Django's date hierarchy first queries which days have runs. That takes seconds for 100,000 runs.
    """

    title = "day"
    parameter_name = "day"
    template = "admin/chains/day_filter.html"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any):
        super().__init__(request, params, model, model_admin)
        gone = (self.parameter_name, PAGE_VAR, ERROR_FLAG)
        self.others = [
            (name, value) for name, values in request.GET.lists() for value in values if name not in gone
        ]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = localdate()
        return [(str(today), "Today"), (str(today - timedelta(days=1)), "Yesterday")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.value():
            return queryset
        try:
            day = datetime.strptime(str(self.value()), "%Y-%m-%d").replace(tzinfo=get_current_timezone())
            return queryset.filter(created_at__gte=day, created_at__lt=day + timedelta(days=1))
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error


class FeedbackFilter(admin.SimpleListFilter):
    """Shows the runs that have feedback."""

    title = "feedback"
    parameter_name = "feedback"
    scores = {"up": 1, "down": 0}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("up", "Thumbs up"), ("down", "Thumbs down"), ("any", "Any feedback")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        if value in self.scores:
            return queryset.filter(Exists(THUMBS.filter(score=self.scores[value])))
        return queryset.filter(Exists(FEEDBACK)) if value == "any" else queryset


@admin.register(Run)
class RunAdmin(admin.ModelAdmin):
    list_display = (
        "short_id",
        "created",
        "chain_at_version",
        "user",
        "badge",
        "mark",
        "source",
        "tokens",
        "cost",
        "latency",
    )
    list_filter = (
        DayFilter,
        "status",
        FeedbackFilter,
        "source",
        "chain",
        ("user", admin.RelatedOnlyFieldListFilter),
    )
    list_select_related = ("user",)
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("chain_slug",)
    search_help_text = "A run's id or its first 8 characters, or the beginning of a chain's slug."
    ordering = ("-created_at",)
    sortable_by = ("created", "latency")
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("badge", "source", "who"),
                    ("chain_and_version", "prompts"),
                    "error",
                ]
            },
        ),
        ("Input", {"fields": ["input_text"], "classes": ["wide-text"]}),
        ("Config", {"fields": ["config_text"], "classes": ["wide-text"]}),
        ("Output", {"fields": ["output_text"], "classes": ["wide-text"]}),
        ("Feedback", {"fields": ["feedback_table"], "classes": ["wide-text"]}),
        (
            "Figures",
            {
                "fields": [
                    ("tokens", "cost", "finish_reason"),
                    ("first_token", "latency"),
                    ("created_at", "ended_at"),
                ]
            },
        ),
        ("Model calls", {"fields": ["call_table"], "classes": ["wide-text"]}),
        ("Origin", {"fields": ["id", "parent_id", "plan_digest", "worker"], "classes": ["collapse"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Django's admin has no option for "all fields are read-only", so this lists them.
        return [
            "badge",
            "who",
            "chain_and_version",
            "prompts",
            "error",
            "input_text",
            "config_text",
            "output_text",
            "feedback_table",
            "tokens",
            "cost",
            "first_token",
            "latency",
            "call_table",
            "id",
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        queryset: QuerySet = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == f"{self.opts.app_label}_{self.opts.model_name}_changelist":
            # These columns may have a megabyte in each row, and the list does not show them.
            queryset = queryset.defer("input", "output", "calls", "prompt_versions", "config")
            queryset = queryset.annotate(
                thumbs=Subquery(THUMBS.values("score")[:1]), has_feedback=Exists(FEEDBACK)
            )
        return queryset

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        title = {"title": f"Run {object_id[:8]}", "subtitle": None}
        return super().change_view(request, object_id, form_url, {**title, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.strip().replace("\0", "")
        try:
            return queryset.filter(pk=uuid.UUID(term)), False
        except ValueError:
            pass
        if re.fullmatch(r"[0-9a-f]{8,35}", digits := term.lower().replace("-", "")):
            # The list shows the beginnings of ids.
            first, last = (uuid.UUID(digits.ljust(32, end)[:32]) for end in "0f")
            return queryset.filter(Q(pk__range=(first, last)) | Q(chain_slug__startswith=term)), False
        return queryset.filter(chain_slug__startswith=term) if term else queryset, False

    # --- The list --------------------------------------------------------------------------------

    @admin.display(description="run")
    def short_id(self, run: Run) -> str:
        return format_html("<code>{}</code>", str(run.pk)[:8])

    @admin.display(description="status")
    def badge(self, run: Run) -> str:
        return format_html(
            '<span class="badge badge-{}">{}</span>', run.status, wording.status_text(run.status)
        )

    @admin.display(
        description=format_html('<span class="visually-hidden">{}</span>', "feedback"), empty_value=""
    )
    def mark(self, run: Any) -> str:
        if not run.has_feedback:
            return ""
        name, sign = {1: ("Thumbs up", "▲"), 0: ("Thumbs down", "▼")}.get(run.thumbs, ("Feedback", "●"))
        kind = {1: "succeeded", 0: "failed"}.get(run.thumbs, "quiet")
        return format_html(
            '<span class="badge badge-{}" role="img" title="{}" aria-label="{}">{}</span>',
            kind,
            name,
            name,
            sign,
        )

    @admin.display(description="chain")
    def chain_at_version(self, run: Run) -> str:
        if run.package:
            return f"{run.chain_slug} ({run.package})"
        return f"{run.chain_slug}@{run.version_name}"

    @admin.display(description="created", ordering="created_at")
    def created(self, run: Run) -> str:
        return date_format(localtime(run.created_at), "j M H:i:s")

    @admin.display(description="tokens")
    def tokens(self, run: Run) -> str:
        return wording.tokens(run.input_tokens, run.output_tokens)

    @admin.display(description="cost")
    def cost(self, run: Run) -> str:
        return wording.cost(run.cost_usd, is_minimum=run.cost_is_minimum)

    @admin.display(description="latency", ordering="latency_ms")
    def latency(self, run: Run) -> str:
        return wording.duration(run.latency_ms)

    # --- One run ---------------------------------------------------------------------------------

    @admin.display(description="first token")
    def first_token(self, run: Run) -> str:
        return wording.duration(run.first_token_ms)

    @admin.display(description="user")
    def who(self, run: Run) -> str:
        name = str(run.user) if run.user else "deleted user"
        return f"{name}, with the key “{run.key.name}”" if run.key else name

    @admin.display(description="chain")
    def chain_and_version(self, run: Run) -> str:
        number = run.chain_version_number
        text = f"{run.chain_slug}, {wording.version_text(number, run.package)}"
        if run.chain is None:
            return f"{text} (deleted)"
        if number is None:
            url = reverse("admin:chains_chain_change", args=[run.chain.pk])
            return format_html('<a href="{}">{}</a>', url, text)
        return _version_link("chain", run.chain.pk, number, text)

    @admin.display(description="prompts")
    def prompts(self, run: Run) -> str:
        ids = dict(Prompt.objects.filter(slug__in=run.prompt_versions).values_list("slug", "pk"))
        links = (
            (_version_link("prompt", ids[slug], number, f"{slug}, version {number}"),)
            if slug in ids
            else (f"{slug}, version {number} (deleted)",)
            for slug, number in run.prompt_versions.items()
        )
        return format_html_join("; ", "{}", links) or NONE

    @admin.display(description="error")
    def error(self, run: Run) -> str:
        if not run.error_code:
            return NONE
        return format_html("<code>{}</code> {}", run.error_code, run.error_message)

    @admin.display(description="input")
    def input_text(self, run: Run) -> str:
        return pretty(run.input)

    @admin.display(description="config")
    def config_text(self, run: Run) -> str:
        return pretty(run.config or None)

    @admin.display(description="output")
    def output_text(self, run: Run) -> str:
        return pretty(run.output)

    @admin.display(description="calls")
    def call_table(self, run: Run) -> str:
        return render_to_string("admin/chains/_calls.html", {"calls": call_rows(run.calls)})

    @admin.display(description="feedback")
    def feedback_table(self, run: Run) -> str:
        judgements = [
            (said, NONE if said.value is None else plain(said.value))
            for said in run.feedback.select_related("user").order_by("created_at")
        ]
        return render_to_string("admin/chains/_feedback.html", {"judgements": judgements})


def pretty(value: Any) -> str:
    """Return a text unchanged and anything else as indented JSON; both are escaped for HTML."""
    if value is None:
        return NONE
    return format_html('<pre class="readable">{}</pre>', plain(value, indent=2))


def plain(value: Any, indent: int | None = None) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)


def _version_link(noun: str, pk: int, number: int, text: str) -> str:
    url = reverse(f"admin:chains_{noun}_versions", args=[pk])
    return format_html('<a href="{}?show={}">{}</a>', url, number, text)
