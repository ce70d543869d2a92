"""The page of one run."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chains.actions import wording
from chains.models import Chain, Run
from chains.playground import excerpts
from chains.playground.opinions import feedback_path, opinions_of
from chains.playground.rows import again_url


@never_cache
@login_required
@require_safe
def run_detail(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = get_object_or_404(Run.objects.visible_to(request.user), pk=run_id)
    chain = Chain.objects.visible_to(request.user).enabled().filter(slug=run.chain_slug).first()
    context = links(run, chain) | {
        "run": run,
        "status_text": wording.status_text(run.status),
        "facts": facts(run),
        "versions": versions(run),
        "input_text": excerpts.as_json(excerpts.without_files(run.input)),
        "config_text": excerpts.as_json(run.config) if run.config else "",
        "output_text": excerpts.as_text(run.output),
        "opinions": opinions_of(run, request.user),
    }
    return render(request, "chains/run_detail.html", context)


def links(run: Run, chain: Chain | None) -> dict[str, Any]:
    """Return the addresses of the chain's pages that are available, for links on the run's page."""
    if chain is None:
        return {}
    has_playground = chain.is_open("playground")
    return {
        "playground_url": reverse("playground", args=[chain.slug]) if has_playground else "",
        "again_url": again_url(run, ref=chain.slug) if has_playground else "",
        "feedback_path": feedback_path(chain) if run.status == Run.Status.SUCCEEDED else "",
    }


def facts(run: Run) -> list[tuple[str, str]]:
    return [
        ("First token", wording.duration(run.first_token_ms)),
        ("Total time", wording.duration(run.latency_ms)),
        ("Tokens", wording.tokens(run.input_tokens, run.output_tokens)),
        ("Cost", wording.cost(run.cost_usd, is_minimum=run.cost_is_minimum)),
        ("Finish reason", run.finish_reason or wording.NONE),
        ("Through", run.get_source_display()),
        ("Chain", f"{run.chain_slug}, {wording.version_text(run.chain_version_number, run.package)}"),
    ]


def versions(run: Run) -> str:
    models = dict.fromkeys(f"{call['provider']}/{call['model']}" for call in run.calls)
    known = wording.versions_text(run.chain_version_number, run.package, run.prompt_versions)
    return " · ".join([known, *models])
