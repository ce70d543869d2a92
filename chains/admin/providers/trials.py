"""The pages beside a provider's form: its test, what was learned of it, and the names of its models."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from chains.actions import habits
from chains.actions.providers import Trial, suggested_models, try_out
from chains.actions.wording import told_text
from chains.admin.cells import VERBATIM
from chains.admin.providers.asking import habit_words, value_words
from chains.models import Provider
from chains.runtime.errors import InvalidSpec

MODELS_URL = "admin:chains_provider_models"


class TrialForm(forms.Form):
    model = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={**VERBATIM, "class": "vTextField", "list": "known-models"}),
    )

    def __init__(self, provider: Provider, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # The page's script then suggests the models of this provider.
        self.fields["model"].widget.attrs["data-provider"] = provider.slug


STATES = {"works": ("Works", "succeeded"), "fails": ("Fails", "failed"), "unknown": ("Not known", "quiet")}


def result_of(trial: Trial) -> dict[str, Any]:
    """Return a test's result as template data."""
    checks = [
        {
            "name": check.name,
            "state": STATES[check.state][0],
            "badge": STATES[check.state][1],
            "text": check.text,
            "code": check.code,
            "said": told_text(check.told) if check.told else "",
        }
        for check in trial.checks
    ]
    learned = [
        (habit_words(taught.habit), value_words(taught.habit, taught.value), taught.refusal)
        for taught in trial.learned
    ]
    return {"trial": trial, "checks": checks, "learned": learned}


class TrialPages(admin.ModelAdmin):
    """Base of the admin of providers: further pages, each with its own check of permissions."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("models/", wrap(self.models_view), name="chains_provider_models"),
            path("<int:pk>/test/", wrap(self.test_view), name="chains_provider_test"),
            path("<int:pk>/forget/", wrap(self.forget_view), name="chains_provider_forget"),
            *super().get_urls(),
        ]

    def trial_panel(self, provider: Provider) -> dict[str, Any]:
        """Return the template data of the form that starts a test. The first model with a price is in it."""
        first = provider.prices.order_by("model").first()
        initial = {"model": first.model if first else ""}
        return {
            "trial_form": TrialForm(provider, initial=initial, auto_id="trial_%s"),
            "test_url": reverse("admin:chains_provider_test", args=[provider.pk]),
            "forget_url": reverse("admin:chains_provider_forget", args=[provider.pk]),
            "models_url": reverse(MODELS_URL),
        }

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the form of a test; a POST makes the test's calls, and shows what they found."""
        provider = self._changeable(request, pk)
        panel = self.trial_panel(provider)
        context = {
            **self.admin_site.each_context(request),
            **panel,
            "title": f"Test of {provider}",
            "opts": self.opts,
            "original": provider,
            "change_url": reverse("admin:chains_provider_change", args=[pk]),
        }
        if request.method == "POST":
            form = context["trial_form"] = TrialForm(provider, request.POST, auto_id="trial_%s")
            if form.is_valid():
                try:
                    context |= result_of(try_out(provider, form.cleaned_data["model"]))
                except InvalidSpec as error:
                    # Its kind is not installed, or not registered any more.
                    form.add_error("model", str(error))
        return TemplateResponse(request, "admin/chains/provider_test.html", context)

    def forget_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Forget one learned habit, or ``all``."""
        provider = self._changeable(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        asked = request.POST.get("habit", "")
        if asked != "all" and not asked.isdecimal():
            raise Http404
        count = habits.forget(provider, None if asked == "all" else int(asked))
        text = "Nothing was left to forget." if not count else f"Forgotten: {count} of what was learned."
        messages.success(request, text)
        return HttpResponseRedirect(reverse("admin:chains_provider_change", args=[pk]))

    def models_view(self, request: HttpRequest) -> HttpResponse:
        """Return the names of a provider's models as JSON, for suggestions while a model is typed.

        Whoever may write chains gets them: the names tell nothing of how the provider is reached.
        """
        may_write = request.user.has_perm("chains.change_chain") or request.user.has_perm("chains.add_chain")
        if not may_write and not self.has_view_permission(request):
            raise PermissionDenied
        provider = Provider.objects.filter(slug=request.GET.get("provider", "").replace("\0", "")).first()
        if provider is None:
            raise Http404
        return JsonResponse({"models": suggested_models(provider)})

    def _changeable(self, request: HttpRequest, pk: int) -> Provider:
        provider: Provider | None = self.get_object(request, str(pk))
        if not self.has_change_permission(request, provider):
            raise PermissionDenied
        if provider is None:
            raise Http404
        return provider
