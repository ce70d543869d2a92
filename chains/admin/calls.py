"""The model calls of a run, as a page shows them: each with its tries, and why they failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from chains.actions import wording
from chains.runtime.errors import Told

OUTCOMES = {"answered": "succeeded", "failed": "failed", "cancelled": "cancelled"}
DETAILS = {
    "cached": "cached",
    "cache_written": "written to the cache",
    "audio_in": "audio in",
    "reasoning": "reasoning",
    "audio_out": "audio out",
}


@dataclass(frozen=True, kw_only=True)
class TryRow:
    started: str
    duration: str
    first: str
    outcome: str
    badge: str
    code: str
    said: str


@dataclass(frozen=True, kw_only=True)
class CallRow:
    """``call`` is the stored row. ``details`` are the tokens in other words, such as ``12 cached``."""

    call: Mapping[str, Any]
    details: str
    finish: str
    tries: Sequence[TryRow]
    reasoning: str
    said: str


def call_rows(calls: Sequence[Mapping[str, Any]]) -> list[CallRow]:
    """Return the rows of stored calls; those of older runs have neither tries nor details."""
    return [
        CallRow(
            call=call,
            details=_details_text(call.get("token_details") or {}),
            finish=_finish_text(call.get("finish_reason") or "", call.get("raw_finish_reason") or ""),
            tries=[_try_row(each) for each in call.get("tries") or ()],
            reasoning=call.get("reasoning") or "",
            said=call.get("said") or "",
        )
        for call in calls
    ]


def _details_text(details: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {DETAILS.get(name, name)}" for name, count in details.items() if count)


def _finish_text(reason: str, raw: str) -> str:
    return f"{reason} ({raw})" if raw and raw != reason else reason or wording.NONE


def _try_row(each: Mapping[str, Any]) -> TryRow:
    outcome = each.get("outcome", "")
    return TryRow(
        started=wording.duration(each.get("started_ms")),
        duration=wording.duration(each.get("ms")),
        first=wording.duration(each.get("first_ms")),
        outcome=outcome,
        badge=OUTCOMES.get(outcome, "quiet"),
        code=each.get("code", ""),
        said=wording.told_text(_told(each)),
    )


def _told(each: Mapping[str, Any]) -> Told:
    """What the provider said, of the fields that are known today."""
    known = {field.name for field in fields(Told)}
    detail = {name: text for name, text in (each.get("detail") or {}).items() if name in known}
    return Told(**{**detail, "status": each.get("status")})
