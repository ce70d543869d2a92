"""What tokens cost."""

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class Usage:
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    input_usd: Decimal
    output_usd: Decimal


def cost_usd(usage: Usage, price: Price) -> Decimal:
    """Exact US dollars: not rounded, so that the sum of many runs is exact too."""
    return (usage.input_tokens * price.input_usd + usage.output_tokens * price.output_usd) / MILLION
