"""Versions and labels in the admin, the base of the admin of prompts and chains."""

from collections.abc import Iterator
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.db.models import F, Max, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from accounts.models import User
from chains.admin.audit import changes
from chains.admin.readable import diff
from chains.admin.versioned import VersionedForm
from chains.models import Chain, LabelMove
from chains.models.providers import slug_validator
from chains.runtime.errors import ChainNotFound, InvalidSpec
from chains.runtime.names import LATEST, PRODUCTION
from chains.runtime.steps.prompts import names_in_braces

RECENT = 5


class LabelForm(forms.Form):
    """The form that moves a label.

    ``expected`` is the number of the label's version when the page was rendered; empty if it had none.
    """

    label = forms.CharField(max_length=64, validators=[slug_validator])
    expected = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def clean_label(self) -> str:
        label = str(self.cleaned_data["label"])
        if label == LATEST or label.isdigit():
            raise ValidationError(f"{label!r} is kept by the system.")
        return label


class VersionedAdmin(admin.ModelAdmin):
    """Base of the admin of models with versions.

    A save with new content creates a version. Publishing a version moves the label ``production`` to it.
    """

    form = VersionedForm
    change_form_template = "admin/chains/versioned_form.html"
    list_display: Any = ("slug", "name", "published", "newest")
    list_display_links = ("slug", "name")
    search_fields = ("slug", "name", "description")
    formfield_overrides = {models.TextField: {"widget": AdminTextareaWidget(attrs={"rows": 2})}}
    actions: Any = ("publish_latest",)

    def publish(self, version: Any, *, by: User | None, label: str) -> bool:
        raise NotImplementedError

    def text_of(self, version: Any) -> str:
        raise NotImplementedError

    def templates_of(self, version: Any) -> Iterator[tuple[str, str]]:
        """Yield each template that the version contains, with the words for its place in the form."""
        raise NotImplementedError

    def affected_by(self, versioned: Any, label: str) -> list[Chain]:
        """Return the chains that change when this label is moved."""
        return []

    # --- The list --------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        label = self.model._meta.get_field("labels").related_model
        production = label._default_manager.filter(parent=OuterRef("pk"), name=PRODUCTION)
        version = self.model._meta.get_field("versions").related_model
        versions = version._default_manager.filter(parent=OuterRef("pk")).order_by().values("parent")
        queryset: QuerySet = (
            super()
            .get_queryset(request)
            .annotate(
                production_number=Subquery(production.values("version__number")[:1]),
                latest_number=Subquery(versions.annotate(top=Max("number")).values("top")),
            )
        )
        return queryset

    @admin.display(description="production", ordering=F("production_number").asc(nulls_first=True))
    def published(self, obj: Any) -> str:
        if obj.production_number is None:
            return format_html('<span class="badge badge-quiet">{}</span>', "not published")
        return format_html('<span class="badge badge-succeeded">version {}</span>', obj.production_number)

    @admin.display(description="latest", ordering="latest_number")
    def newest(self, obj: Any) -> str:
        if obj.latest_number is None or obj.latest_number == obj.production_number:
            return f"version {obj.latest_number}" if obj.latest_number else "-"
        return format_html('version {} <span class="badge badge-running">draft</span>', obj.latest_number)

    @admin.action(description="Publish the latest version", permissions=["change"])
    def publish_latest(self, request: HttpRequest, queryset: QuerySet) -> None:
        for versioned in queryset:
            if version := versioned.latest():
                self.publish_and_tell(request, versioned, version, PRODUCTION)
            else:
                messages.error(request, f"{versioned} has no version to publish.")

    # --- The form --------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return [(None, {"fields": ["slug", "name", "description", "latest_content"]})]
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("latest_content",) if obj and not self.has_change_permission(request, obj) else ()

    @admin.display(description="latest version")
    def latest_content(self, obj: Any) -> str:
        latest = obj.latest()
        return format_html('<pre class="readable">{}</pre>', self.text_of(latest)) if latest else "-"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        versioned = self.get_object(request, object_id) if object_id else None
        context = {"show_save_and_add_another": False, "show_publish": True, "recent": []}
        context |= self.form_context(versioned)
        if versioned:
            title = {"title": versioned.name or versioned.slug, "subtitle": None}
            context |= title | self._versions_context(versioned, limit=RECENT)
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def form_context(self, versioned: Any) -> dict[str, Any]:
        """Return further template data for the form's page. ``versioned`` is None on the page to add one."""
        return {}

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.instance.save_spec(
            form.cleaned_data["spec"], author=request.user, note=form.cleaned_data["note"]
        )

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        quiet = frozenset({"base", "note", *form.rows})
        latest = form.instance.latest().number
        parts = ["Added."] if add else changes(form, leave_out=quiet)
        if form.made_a_version:
            parts.append(f"Saved version {latest}.")
        return " ".join(parts) or "Saved without a change."

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        if IS_POPUP_VAR in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return self._respond(request, obj) or self.response_post_save_add(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if IS_POPUP_VAR in request.POST:
            return super().response_change(request, obj)
        return self._respond(request, obj) or self.response_post_save_change(request, obj)

    def _respond(self, request: HttpRequest, obj: Any) -> HttpResponse | None:
        """Add messages about the saved form; return a redirect, or None to go back to the list."""
        version = obj.latest()
        is_new = str(version.number) != request.POST.get("base")
        saved = f"{obj} is saved as version {version.number}." if is_new else f"{obj} is saved."
        self.point_out_braces(request, version)
        if "_publish" in request.POST:
            if is_new:
                messages.success(request, saved)
            self.publish_and_tell(request, obj, version, PRODUCTION)
        else:
            published = obj.versions.filter(labels__name=PRODUCTION).first()
            if published is None:
                saved += " Nothing is published yet."
            elif published != version:
                saved += f" Published is still version {published.number}."
            messages.success(request, saved)
            self.warn_of_draft(request, version)
        if "_save" in request.POST and self.has_view_or_change_permission(request):
            return None
        return HttpResponseRedirect(self._url("change", obj))

    def point_out_braces(self, request: HttpRequest, version: Any) -> None:
        """Add a message for each name in two braces. That is valid, but seldom what its author means."""
        for place, template in self.templates_of(version):
            for name in names_in_braces(template):
                messages.warning(
                    request,
                    f"{place} has {{{{{name}}}}}, which is a brace itself, not a variable: the text "
                    f"{{{name}}} stays as it is. For the variable, write {{{name}}}.",
                )

    def warn_of_draft(self, request: HttpRequest, version: Any) -> None:
        """Add a message if a version that was just saved cannot run yet."""

    # --- Publishing --------------------------------------------------------------------------------

    def publish_and_tell(self, request: HttpRequest, versioned: Any, version: Any, label: str) -> bool:
        """Move the label; report the move, or the reason against it, on the page and a move in the history.

        Returns whether the label is at the version now.
        """
        before = versioned.versions.filter(labels__name=label).first()
        version.parent = versioned
        try:
            moved = self.publish(version, by=cast(User, request.user), label=label)
        except InvalidSpec as error:
            text = f"{versioned}: version {version.number} is not published. {error}"
            messages.error(request, text)
            return False
        if not moved:
            messages.info(request, f"{versioned}: {label} is version {version.number} already.")
            return True
        came_from = f"version {before.number}" if before else "nothing"
        self.log_change(request, versioned, f"Moved {label} from {came_from} to version {version.number}.")
        done = "Published" if label == PRODUCTION else f"Moved {label} to"
        messages.success(request, f"{versioned}: {done} version {version.number} (before: {came_from}).")
        return True

    # --- Further pages -----------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/versions/", wrap(self.versions_view), name=f"{name}_versions"),
            path("<int:pk>/versions/<int:number>/publish/", wrap(self.publish_view), name=f"{name}_publish"),
            *super().get_urls(),
        ]

    def versions_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show all versions, and the differences between two of them."""
        versioned = self._object_or_404(request, pk)
        if not self.has_view_or_change_permission(request, versioned):
            raise PermissionDenied
        shown = self._version_or_404(versioned, request.GET.get("show") or LATEST)
        production = versioned.versions.filter(labels__name=PRODUCTION).first()
        against = production
        if asked := request.GET.get("against"):
            against = self._version_or_404(versioned, asked)
        context = {
            **self._page_context(request, versioned, f"Versions of {versioned}", crumb="Versions"),
            **self._versions_context(versioned),
            "moves": LabelMove.objects.of(versioned).select_related("by")[:50],
            "shown": shown,
            "against": against,
            "diff": self._diff(against, shown),
        }
        return TemplateResponse(request, "admin/chains/versions.html", context)

    def publish_view(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """Ask for a confirmation, then move a label."""
        versioned = self._object_or_404(request, pk)
        if not self.has_change_permission(request, versioned):
            raise PermissionDenied
        version = self._version_or_404(versioned, str(number))
        form = LabelForm(request.POST if request.method == "POST" else request.GET or {"label": PRODUCTION})
        label = form.cleaned_data["label"] if form.is_valid() else PRODUCTION
        current = versioned.versions.filter(labels__name=label).first()
        if request.method == "POST" and form.is_valid():
            if form.cleaned_data["expected"] == (current.number if current else None):
                self.publish_and_tell(request, versioned, version, label)
                return HttpResponseRedirect(self._url("versions", versioned))
            form.add_error(None, f"Not done: someone has moved {label} meanwhile. Look again, please.")
        title = f"Move {label} to version {version.number}?"
        context = {
            **self._page_context(request, versioned, title, crumb="Publish"),
            "form": form,
            "label": label,
            "version": version,
            "current": current,
            "affected": self.affected_by(versioned, label),
            "diff": self._diff(current, version),
            "is_production": label == PRODUCTION,
        }
        return TemplateResponse(request, "admin/chains/publish.html", context)

    def _object_or_404(self, request: HttpRequest, pk: int) -> Any:
        versioned = self.get_object(request, str(pk))
        if versioned is None:
            raise Http404
        return versioned

    def _version_or_404(self, versioned: Any, ref: str) -> Any:
        try:
            return versioned.at(ref)
        except ChainNotFound:
            raise Http404 from None

    def _diff(self, old: Any, new: Any) -> Any:
        return diff(self.text_of(old) if old else "", self.text_of(new))

    def _url(self, page: str, versioned: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=[versioned.pk])

    def _page_context(
        self, request: HttpRequest, versioned: Any, title: str, *, crumb: str
    ) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "crumb": crumb,
            "opts": self.opts,
            "original": versioned,
            "change_url": self._url("change", versioned),
            "versions_url": self._url("versions", versioned),
            "may_publish": self.has_change_permission(request, versioned),
        }

    def _versions_context(self, versioned: Any, limit: int | None = None) -> dict[str, Any]:
        versions = versioned.versions.select_related("author").prefetch_related("labels")
        rows = [(version, [label.name for label in version.labels.all()]) for version in versions[:limit]]
        return {
            "recent": rows,
            "version_count": versioned.versions.count() if limit else len(rows),
            "is_published": versioned.labels.filter(name=PRODUCTION).exists(),
            "versions_url": self._url("versions", versioned),
        }
