"""The pages of chains: the list of chains, a chain's playground, and a conversation with a chain."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, Q, Subquery
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.callers import Caller
from chains.actions.runs import start_run
from chains.actions.runs.call import RunCall
from chains.actions.wording import version_text
from chains.doors import DOORS
from chains.models import Chain, ChainLabel, Run
from chains.playground.pages import ChainPage, async_chain_page, chain_page, last_runs, script_config
from chains.playground.rows import run_row
from chains.runtime.errors import ChainHubError, ChainNotFound, InvalidInput, InvalidSpec
from chains.runtime.names import PRODUCTION, split_ref
from chains.runtime.registry import all_registered

SNIPPETS = ["curl", "langserve", "requests", "javascript"]


@never_cache
@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    newest = Run.objects.visible_to(request.user).filter(chain_slug=OuterRef("slug"))
    published = Exists(ChainLabel.objects.filter(parent=OuterRef("pk"), name=PRODUCTION))
    in_code = Q(kind=Chain.Kind.CODE, slug__in=[entry.slug for entry in all_registered()])
    chains = list(
        Chain.objects.visible_to(request.user)
        .enabled()
        .filter(published | in_code)
        .annotate(last_run_id=Subquery(newest.order_by("-created_at").values("id")[:1]))
        .order_by("name", "slug")
    )
    runs = Run.objects.in_bulk([chain.last_run_id for chain in chains])
    cards = [card(chain, runs.get(chain.last_run_id)) for chain in chains]
    return render(request, "chains/home.html", {"chains": cards})


def card(chain: Chain, last_run: Run | None) -> dict[str, Any]:
    """Return a chain's data for the list. ``playground_url`` is "" if the chain's playground is off."""
    return {
        "slug": chain.slug,
        "name": chain.name or chain.slug,
        "description": chain.description,
        "is_code": chain.kind == Chain.Kind.CODE,
        "playground_url": reverse("playground", args=[chain.slug]) if chain.is_open("playground") else "",
        "last_run": run_row(last_run, ref=chain.slug) if last_run else None,
    }


@never_cache
@login_required
@require_safe
def playground(request: HttpRequest, ref: str) -> HttpResponse:
    try:
        return playground_page(request, chain_page(request, ref))
    except InvalidSpec as error:
        return unavailable_page(request, ref, error)


@never_cache
@login_required
@require_safe
def chat(request: HttpRequest, ref: str) -> HttpResponse:
    """The page of a conversation, for chains whose input is a conversation."""
    try:
        page = chain_page(request, ref)
    except InvalidSpec as error:
        return unavailable_page(request, ref, error)
    if page.chat is None:
        raise Http404
    here = reverse("chat", args=[ref])
    config = script_config(page, here=here) | {
        "form": asdict(page.chat),
        "user": request.user.pk,
    }
    return render(request, "chains/chat.html", page_context(page) | {"config": config})


@never_cache
@login_required
@require_POST
async def run(request: HttpRequest, ref: str) -> HttpResponse:
    """Handle the page's form without JavaScript: run the chain to its end, then redirect to the run's page.

    Async, so that the run is cancelled when the client disconnects, as on the other doors.
    """
    try:
        page = await async_chain_page(request, ref)
    except InvalidSpec as error:
        return await sync_to_async(unavailable_page)(request, ref, error)
    again = sync_to_async(playground_page)
    if not page.is_valid():
        return await again(request, page, status=422)
    try:
        return redirect("run_detail", await run_to_end(await call_of(request, page)))
    except InvalidInput as error:
        page.add_faults(list(error.errors))
        return await again(request, page, problem=str(error), status=422)
    except ChainNotFound as error:
        raise Http404 from error
    except ChainHubError as error:
        return await again(request, page, problem=str(error), status=503)


async def call_of(request: HttpRequest, page: ChainPage) -> RunCall:
    slug, label = split_ref(page.ref)
    user = await request.auser()
    assert user.is_authenticated
    return RunCall(
        slug=slug,
        ref=label,
        caller=Caller(user=user, key=None),
        input=page.input.chain_input(),
        config=page.run_config,
        door=DOORS["playground_form"],
    )


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
    request: HttpRequest, page: ChainPage, *, problem: str = "", status: int = 200
) -> HttpResponse:
    ref = page.ref
    here = reverse("playground", args=[ref])
    config = script_config(page, here=here) | {
        "history_path": reverse("playground_history", args=[ref]),
        "choices": page.input.typed_choices(),
    }
    context = page_context(page) | {
        "fields": list(page.input.form_fields()),
        "whole_input": page.input.is_whole(),
        "problem": "\n".join([*filter(None, [problem]), *page.faults_of_no_field()]),
        "history": last_runs(request, ref),
        "snippet_names": SNIPPETS,
        "config": config,
    }
    return render(request, "chains/playground.html", context, status=status)


def page_context(page: ChainPage) -> dict[str, Any]:
    """Return the template data that the playground and the conversation share."""
    return {
        "plan": page.plan,
        "ref": page.ref,
        "version": version_text(page.plan.version, page.plan.package),
        "config_fields": list(page.config.form_fields()),
        "config_is_open": page.config.is_touched(),
        "has_chat": page.chat is not None,
        "takes_feedback": page.found.chain.is_open("feedback"),
    }


@never_cache
@login_required
@require_safe
def history(request: HttpRequest, ref: str) -> JsonResponse:
    """Return the user's last runs of a chain as JSON, for the page's script."""
    return JsonResponse({"runs": [asdict(row) for row in last_runs(request, ref)]})
