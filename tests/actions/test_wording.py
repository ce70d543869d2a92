"""How figures and versions of a run read."""

from decimal import Decimal

import pytest

from chains.actions import wording
from chains.models import Run
from chains.runtime.events import Figures


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, wording.NONE), (0, "0 ms"), (999, "999 ms"), (1234, "1.23 s")]
)
def test_durations_are_in_the_unit_that_reads_best(milliseconds, text):
    assert wording.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (Decimal("0E-10"), "$0"),
        (Decimal("0.0001230000"), "$0.000123"),
        (Decimal("120.0000000000"), "$120"),
        (Decimal("100"), "$100"),
    ],
)
def test_a_cost_is_exact_and_an_unknown_one_is_not_zero(usd, text):
    assert wording.cost(usd) == text


def test_tokens_that_nobody_counted_are_unknown():
    assert wording.tokens(None, None) == "unknown"
    assert wording.tokens(1200, None) == "1,200 in, unknown out"


def test_every_status_has_its_word():
    assert set(wording.STATUS_TEXTS) == set(Run.Status)


def test_versions_are_named_with_those_of_the_prompts():
    assert wording.versions_text(3, "", {"joke": 2}) == "version 3 · joke v2"
    assert wording.versions_text(None, "shop 1.2", {}) == "shop 1.2"
    assert wording.versions_text(None, "", {}) == wording.NONE


def test_figures_that_are_not_known_say_so():
    assert wording.figures_texts(Figures(latency_ms=7)) == {
        "first_token": wording.NONE,
        "total_time": "7 ms",
        "tokens": "unknown",
        "cost": "unknown",
    }


def test_a_version_is_a_number_or_a_package():
    assert wording.version_text(3, "") == "version 3"
    assert wording.version_text(None, "jokes 1.2.0") == "jokes 1.2.0"
