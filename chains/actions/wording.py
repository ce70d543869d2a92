"""Texts for people about a run's figures, status and versions, for all pages and scripts."""

from collections.abc import Mapping
from decimal import Decimal

from chains.models import Run
from chains.runtime.errors import Told
from chains.runtime.events import Figures

NONE = "\N{EN DASH}"
UNKNOWN = "unknown"
STATUS_TEXTS: Mapping[str, str] = dict(Run.Status.choices)


def status_text(status: str) -> str:
    return STATUS_TEXTS.get(status, status)


def duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return NONE
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    return f"{milliseconds / 1000:.2f} s"


def cost(usd: Decimal | None, *, is_minimum: bool = False) -> str:
    """US dollars without trailing zeros; ``None`` is an unknown cost, not zero."""
    if usd is None:
        return UNKNOWN
    text = f"{usd:f}"
    text = f"${text.rstrip('0').rstrip('.') if '.' in text else text}"
    return f"at least {text}" if is_minimum else text


def tokens(input_tokens: int | None, output_tokens: int | None) -> str:
    if input_tokens is None and output_tokens is None:
        return UNKNOWN
    shown = (UNKNOWN if count is None else f"{count:,}" for count in (input_tokens, output_tokens))
    return "{} in, {} out".format(*shown)


def version_text(number: int | None, package: str) -> str:
    """The version of a configured chain, or the package that a code chain comes from."""
    return (package or NONE) if number is None else f"version {number}"


def versions_text(number: int | None, package: str, prompts: Mapping[str, int]) -> str:
    """The version of a chain and the versions of the prompts that it uses."""
    return " · ".join([version_text(number, package), *(f"{slug} v{n}" for slug, n in prompts.items())])


def told_text(told: Told) -> str:
    """What a provider said of a failure, in one line."""
    # A code says more than the type that stands beside it.
    kind = "" if told.code else told.type
    words = {"status": told.status, "code": told.code, "type": kind, "parameter": told.param}
    facts = ", ".join(f"{word} {value}" for word, value in words.items() if value)
    return ": ".join(part for part in (facts, told.message) if part)


def figures_texts(figures: Figures) -> dict[str, str]:
    """A run's figures as texts, by the names that pages use."""
    return {
        "first_token": duration(figures.first_token_ms),
        "total_time": duration(figures.latency_ms),
        "tokens": tokens(figures.input_tokens, figures.output_tokens),
        "cost": cost(figures.cost_usd, is_minimum=figures.cost_is_minimum),
    }
