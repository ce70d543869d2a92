"""The pages: the chains one may run, a chain's playground, one run."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.auth import Caller
from chains.actions.resolve import resolve_plan, split_ref
from chains.actions.runs import RunCall, start_run
from chains.models import Chain, Run
from chains.playground import figures
from chains.playground.forms import InputForm
from chains.playground.rows import STATUS_TEXTS, RunRow, again_url, run_row
from chains.runtime.errors import ChainHubError, ChainNotFound, InvalidInput, InvalidSpec
from chains.runtime.plan import Plan
from chains.runtime.spec import PRODUCTION

HISTORY_LENGTH = 10
# Stands in an address for an id that only the page's script knows.
NO_RUN = UUID(int=0)
SNIPPETS = ["curl", "langserve", "requests", "javascript"]


@never_cache
@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    newest = Run.objects.visible_to(request.user).filter(chain_slug=OuterRef("slug"))
    chains = list(
        Chain.objects.visible_to(request.user)
        .enabled()
        .filter(labels__name=PRODUCTION)
        .annotate(last_run_id=Subquery(newest.order_by("-created_at").values("id")[:1]))
        .order_by("name", "slug")
    )
    runs = Run.objects.in_bulk([chain.last_run_id for chain in chains])
    cards = [card(chain, runs.get(chain.last_run_id)) for chain in chains]
    return render(request, "chains/home.html", {"chains": cards})


def card(chain: Chain, last_run: Run | None) -> dict[str, Any]:
    return {
        "slug": chain.slug,
        "name": chain.name or chain.slug,
        "description": chain.description,
        "playground_url": reverse("playground", args=[chain.slug]),
        "last_run": run_row(last_run, ref=chain.slug) if last_run else None,
    }


@never_cache
@login_required
@require_safe
def playground(request: HttpRequest, ref: str) -> HttpResponse:
    try:
        plan = plan_or_404(request, ref)
    except InvalidSpec as error:
        return unavailable_page(request, ref, error)
    return playground_page(request, ref, plan, InputForm(plan.input_schema, value=earlier_input(request)))


@never_cache
@login_required
@require_POST
async def run(request: HttpRequest, ref: str) -> HttpResponse:
    """What the page's form does where no script runs: the whole run, then the run's own page.

    Async, so that a reader who leaves takes the run along, as everywhere.
    """
    try:
        plan = await sync_to_async(plan_or_404)(request, ref)
    except InvalidSpec as error:
        return await sync_to_async(unavailable_page)(request, ref, error)
    form = InputForm(plan.input_schema, data=request.POST)
    page = sync_to_async(playground_page)
    if not form.is_valid():
        return await page(request, ref, plan, form, status=422)
    slug, label = split_ref(ref)
    user = await request.auser()
    assert user.is_authenticated
    caller = Caller(user=user, key=None)
    call = RunCall(slug=slug, ref=label, caller=caller, input=form.chain_input(), source=Run.Source.WS)
    try:
        return redirect("run_detail", await run_to_end(call))
    except InvalidInput as error:
        form.add_faults(error.errors)
        return await page(request, ref, plan, form, problem=str(error), status=422)
    except ChainNotFound as error:
        raise Http404 from error
    except ChainHubError as error:
        return await page(request, ref, plan, form, problem=str(error), status=503)


async def run_to_end(call: RunCall) -> UUID:
    stream = await start_run(call)
    try:
        async for _ in stream:
            pass
    finally:
        stream.cancel()
    return stream.run_id


def unavailable_page(request: HttpRequest, ref: str, error: InvalidSpec) -> HttpResponse:
    context = {"ref": ref, "problem": str(error)}
    return render(request, "chains/unavailable.html", context, status=503)


def playground_page(
    request: HttpRequest,
    ref: str,
    plan: Plan,
    form: InputForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "plan": plan,
        "ref": ref,
        "fields": list(form.input_fields()),
        "whole_input": form.is_whole(),
        "problem": "\n".join([*filter(None, [problem]), *form.non_field_errors()]),
        "history": last_runs(request, ref),
        "snippet_names": SNIPPETS,
        "config": script_config(ref, form),
    }
    return render(request, "chains/playground.html", context, status=status)


@never_cache
@login_required
@require_safe
def history(request: HttpRequest, ref: str) -> JsonResponse:
    """One's last runs of a chain, for the page's script."""
    return JsonResponse({"runs": [asdict(row) for row in last_runs(request, ref)]})


@never_cache
@login_required
@require_safe
def run_detail(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = get_object_or_404(Run.objects.visible_to(request.user), pk=run_id)
    context = {
        "run": run,
        "status_text": STATUS_TEXTS.get(run.status, run.status),
        "playground_url": reverse("playground", args=[run.chain_slug]),
        "again_url": again_url(run, ref=run.chain_slug),
        "facts": facts(run),
        "versions": versions(run),
        "input_text": figures.as_json(run.input),
        "output_text": figures.as_text(run.output),
    }
    return render(request, "chains/run_detail.html", context)


def plan_or_404(request: HttpRequest, ref: str) -> Plan:
    slug, label = split_ref(ref)
    try:
        return resolve_plan(slug=slug, ref=label, user=request.user)
    except ChainNotFound as error:
        raise Http404 from error


def earlier_input(request: HttpRequest) -> Any:
    """The input of the run that the address names, to be used again; None without one."""
    try:
        run_id = UUID(request.GET.get("from", ""))
    except ValueError:
        return None
    return Run.objects.visible_to(request.user).filter(pk=run_id).values_list("input", flat=True).first()


def last_runs(request: HttpRequest, ref: str) -> list[RunRow]:
    slug, _ = split_ref(ref)
    runs = Run.objects.visible_to(request.user).filter(chain_slug=slug).order_by("-created_at")
    return [run_row(run, ref=ref) for run in runs[:HISTORY_LENGTH]]


def script_config(ref: str, form: InputForm) -> dict[str, Any]:
    here = reverse("playground", args=[ref])
    return {
        "chain_path": f"/chains/{ref}",
        "socket_path": f"/ws/chains/{ref}/",
        "history_path": reverse("playground_history", args=[ref]),
        "run_path": reverse("run_detail", args=[NO_RUN]),
        "run_path_id": str(NO_RUN),
        "sign_in_path": f"{reverse(settings.LOGIN_URL)}?{urlencode({'next': here})}",
        "max_frame_bytes": settings.WEBSOCKET_MAX_FRAME_BYTES,
        "choices": form.typed_choices(),
    }


def facts(run: Run) -> list[tuple[str, str]]:
    return [
        ("First token", figures.duration(run.first_token_ms)),
        ("Total time", figures.duration(run.latency_ms)),
        ("Tokens", figures.tokens(run.input_tokens, run.output_tokens)),
        ("Cost", figures.cost(run.cost_usd)),
        ("Finish reason", run.finish_reason or figures.NONE),
        ("Through", run.get_source_display()),
        ("Chain", f"{run.chain_slug}, version {run.chain_version_number}"),
    ]


def versions(run: Run) -> str:
    prompts = [f"{slug} v{number}" for slug, number in run.prompt_versions.items()]
    models = dict.fromkeys(f"{call['provider']}/{call['model']}" for call in run.calls)
    return " · ".join([f"version {run.chain_version_number}", *prompts, *models])
