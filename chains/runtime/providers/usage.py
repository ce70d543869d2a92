"""Reads token usage: from what a provider counts, and from LangChain's messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from langchain_core.messages.ai import UsageMetadata

from chains.runtime.pricing import Usage

MAX_TOKENS = 100_000_000
# More counts than any provider tells.
MAX_COUNTS = 50

# The names under which chat completions, and servers that deviate from them, tell each number of tokens.
NAMES: Mapping[str, tuple[str, ...]] = {
    "read": ("prompt_tokens", "input_tokens"),
    "written": ("completion_tokens", "output_tokens"),
    "total": ("total_tokens",),
    "cached": ("prompt_cache_hit_tokens", "cached_tokens"),
    "reasoning": ("reasoning_tokens",),
}
NAMES_IN_DETAILS: Mapping[str, Mapping[str, str]] = {
    "prompt_tokens_details": {
        "cached_tokens": "cached",
        "cache_write_tokens": "cache_written",
        "audio_tokens": "audio_in",
    },
    "completion_tokens_details": {"reasoning_tokens": "reasoning", "audio_tokens": "audio_out"},
}
SAME_DETAILS = {
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}
DETAILS = ("cached", "cache_written", "audio_in", "reasoning", "audio_out")


def tokens(value: Any) -> int | None:
    """A number of tokens; ``None`` for anything that is none, such as a word or a fraction."""
    if type(value) is int:
        return value if 0 <= value <= MAX_TOKENS else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return tokens(value) if type(value) is int else None


@dataclass(slots=True)
class Counts:
    """The numbers of tokens of one answer, which servers tell again with each piece, in parts, or at its end.

    A later number replaces an earlier one, except by 0: some servers reset their counts in the last event.
    What tells only a part, or something that is no number, replaces nothing that was told in full.
    """

    _known: dict[str, int] = field(default_factory=dict)
    _is_full: bool = False

    def note(self, counted: Mapping[str, Any]) -> None:
        told = _numbers(counted)
        is_full = "read" in told and ("written" in told or "total" in told)
        for name, count in told.items():
            if name not in self._known or (count and (is_full or not self._is_full)):
                self._known[name] = count
        self._is_full = self._is_full or is_full

    @property
    def usage(self) -> Usage | None:
        """``None`` where the tokens read or those written are unknown."""
        known = self._known
        read, total = known.get("read"), known.get("total", -1)
        if read is None:
            return None
        written = known.get("written", total - read)
        if written < 0:
            return None
        details = {name: known[name] for name in DETAILS if name in known}
        return Usage(input_tokens=read, output_tokens=written, details=details)


def _numbers(counted: Mapping[str, Any]) -> dict[str, int]:
    told: dict[str, int] = {}
    for name, spellings in NAMES.items():
        for spelling in spellings:
            if (value := counted.get(spelling)) is not None and (count := tokens(value)) is not None:
                told.setdefault(name, count)
    for usual, names in NAMES_IN_DETAILS.items():
        details = counted.get(usual) or counted.get(SAME_DETAILS[usual])
        if not isinstance(details, dict):
            continue
        for spelling, name in names.items():
            if (count := tokens(details.get(spelling))) is not None:
                told[name] = count
    return told


def plain_counts(counted: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers in what a provider counted, for a message's metadata, without what is no number."""
    return {
        name: plain_counts(value) if isinstance(value, dict) else value
        for name, value in islice(counted.items(), MAX_COUNTS)
        if tokens(value) is not None or (isinstance(value, dict) and not _has_dicts(value))
    }


def _has_dicts(value: Mapping[str, Any]) -> bool:
    return any(isinstance(inner, dict) for inner in islice(value.values(), MAX_COUNTS))


def usage_of_claude(counted: Mapping[str, Any]) -> Usage | None:
    """What Anthropic's Messages API counts: it counts what is read from or kept in its cache apart."""
    read, written = tokens(counted.get("input_tokens")), tokens(counted.get("output_tokens"))
    if read is None or written is None:
        return None
    kept = counted.get("cache_creation")
    details = {
        "cached": tokens(counted.get("cache_read_input_tokens")),
        "cache_written": tokens(counted.get("cache_creation_input_tokens")),
    }
    if details["cache_written"] is None and isinstance(kept, dict):
        times = (tokens(kept.get(f"ephemeral_{time}_input_tokens")) for time in ("5m", "1h"))
        details["cache_written"] = sum(count or 0 for count in times)
    known = {name: count for name, count in details.items() if count is not None}
    return Usage(input_tokens=read + sum(known.values()), output_tokens=written, details=known)


# --- LangChain's messages ----------------------------------------------------------------------


def usage_of(message: Any) -> Usage | None:
    """The token usage that a LangChain message reports; ``None`` where it is missing or impossible."""
    used = getattr(message, "usage_metadata", None)
    return usage_from_metadata(used) if used else None


def usage_from_metadata(used: Mapping[str, Any]) -> Usage | None:
    read, written = tokens(used.get("input_tokens")), tokens(used.get("output_tokens"))
    if read is None or written is None:
        return None
    inputs, outputs = used.get("input_token_details") or {}, used.get("output_token_details") or {}
    details = {
        "cached": inputs.get("cache_read"),
        "cache_written": _cache_written(inputs),
        "audio_in": inputs.get("audio"),
        "reasoning": outputs.get("reasoning"),
        "audio_out": outputs.get("audio"),
    }
    known = {name: count for name, value in details.items() if (count := tokens(value)) is not None}
    return Usage(input_tokens=read, output_tokens=written, details=known)


def _cache_written(inputs: Mapping[str, Any]) -> int | None:
    """langchain-anthropic counts what is kept for five minutes or an hour apart from the rest."""
    names = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
    counts = [count for name in names if (count := tokens(inputs.get(name))) is not None]
    return sum(counts) if counts else None


def metadata_of(usage: Usage) -> UsageMetadata:
    """The usage as LangChain's messages have it."""
    details = usage.details
    inputs = {"cache_read": "cached", "cache_creation": "cache_written", "audio": "audio_in"}
    outputs = {"reasoning": "reasoning", "audio": "audio_out"}
    return UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        input_token_details={name: details[of] for name, of in inputs.items() if of in details},  # type: ignore[typeddict-item]
        output_token_details={name: details[of] for name, of in outputs.items() if of in details},  # type: ignore[typeddict-item]
    )
