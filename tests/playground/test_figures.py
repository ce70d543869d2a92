"""How figures read."""

from decimal import Decimal

import pytest

from chains.playground import figures


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, figures.NONE), (0, "0 ms"), (999, "999 ms"), (1234, "1.23 s")]
)
def test_durations_are_in_the_unit_that_reads_best(milliseconds, text):
    assert figures.duration(milliseconds) == text


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
    assert figures.cost(usd) == text


def test_tokens_that_nobody_counted_are_unknown():
    assert figures.tokens(None, None) == "unknown"
    assert figures.tokens(1200, None) == "1,200 in, unknown out"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"tone": "kind", "topic": "  two\nlines "}, "two lines"),
        ({"chat": [{"type": "human", "content": "Hi"}]}, "Hi"),
        ({"count": 3}, '{"count": 3}'),
        ([], "[]"),
        ("x" * 200, "x" * 139 + "…"),
        ({"file": "QUJD" * 100, "note": "A photo"}, "A photo"),
        (
            {
                "history": [{"type": "human", "content": "Before"}, {"type": "ai", "content": "Long ago"}],
                "q": "Now",
            },
            "Now",
        ),
    ],
)
def test_an_excerpt_is_the_longest_new_text_on_one_line(value, text):
    assert figures.excerpt(value) == text


def test_a_message_is_shown_by_its_content_and_other_values_as_json():
    assert figures.as_text({"type": "ai", "content": "Hello"}) == "Hello"
    assert figures.as_text({"a": 1}) == '{\n  "a": 1\n}'


def test_a_message_of_blocks_is_shown_by_their_text_and_one_without_any_as_json():
    blocks = ["One ", {"type": "text", "text": "two"}, {"type": "image_url", "image_url": "data:"}]
    assert figures.as_text({"type": "ai", "content": blocks}) == "One two"
    assert '"tool_calls"' in figures.as_text({"type": "ai", "content": "", "tool_calls": []})


def test_a_version_is_a_number_or_a_package():
    assert figures.version_text(3, "") == "version 3"
    assert figures.version_text(None, "jokes 1.2.0") == "jokes 1.2.0"
