"""A run as one row of a list, for the pages and for the script that fetches the list again."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.http import urlencode

from chains.actions import wording
from chains.models import Run
from chains.playground import excerpts


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """The texts of a row, ready to show, except `status` and `created_at` (ISO 8601), which are data."""

    url: str
    again_url: str
    status: str
    status_text: str
    excerpt: str
    version: str
    duration: str
    cost: str
    created_at: str
    created_text: str


def run_row(run: Run, *, ref: str) -> RunRow:
    return RunRow(
        url=reverse("run_detail", args=[run.id]),
        again_url=again_url(run, ref=ref),
        status=run.status,
        status_text=wording.status_text(run.status),
        excerpt=excerpts.excerpt(run.input),
        version=wording.version_text(run.chain_version_number, run.package),
        duration=wording.duration(run.latency_ms),
        cost=wording.cost(run.cost_usd, is_minimum=run.cost_is_minimum),
        created_at=run.created_at.isoformat(),
        created_text=f"{run.created_at:%Y-%m-%d %H:%M} UTC",
    )


def again_url(run: Run, *, ref: str) -> str:
    """Return the address of the playground, filled with this run's input."""
    return f"{reverse('playground', args=[ref])}?{urlencode({'from': str(run.id)})}"
