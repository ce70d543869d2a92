"""What tokens cost."""

from decimal import Decimal

import pytest

from chains.runtime.pricing import Price, Usage, cost_usd


@pytest.mark.parametrize(
    ("tokens", "price", "cost"),
    [
        ((0, 0), ("5", "15"), "0"),
        ((1_000_000, 0), ("5", "15"), "5"),
        ((1, 1), ("0.1", "0.4"), "0.0000005"),
        ((3, 7), ("0.15", "0.60"), "0.00000465"),
        ((100_000_000, 100_000_000), ("999999.999999", "0"), "99999999.9999"),
    ],
)
def test_a_cost_is_exact(tokens, price, cost):
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    assert cost_usd(usage, Price(input_usd=Decimal(price[0]), output_usd=Decimal(price[1]))) == Decimal(cost)
