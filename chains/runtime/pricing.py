"""What tokens cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """``details`` names parts of these tokens, as far as the provider counts them.

    Of the input: ``cached`` (read from the provider's cache), ``cache_written``, ``audio_in``. Of the output:
    ``reasoning``, ``audio_out``.
    """

    input_tokens: int
    output_tokens: int
    details: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per million tokens; without ``cached_input_usd``, cached tokens cost like others."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None


def cost_usd(usage: Usage, price: Price) -> Decimal:
    """Exact US dollars: not rounded, so that the sum of many runs is exact too."""
    cached = min(usage.details.get("cached", 0), usage.input_tokens)
    cached_usd = price.input_usd if price.cached_input_usd is None else price.cached_input_usd
    read = (usage.input_tokens - cached) * price.input_usd + cached * cached_usd
    return (read + usage.output_tokens * price.output_usd) / MILLION
