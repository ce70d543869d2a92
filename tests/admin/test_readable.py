"""Differences between two texts."""

import random
import time

import pytest

from chains.admin.readable import MAX_LINES, diff


def texts_in(lines) -> tuple[list[str], list[str]]:
    """The two texts of which these lines are the difference."""
    whole = [(line.sign, "".join(text for _, text in line.parts)) for line in lines]
    return [text for sign, text in whole if sign != "+"], [text for sign, text in whole if sign != "-"]


def signs(old: str, new: str) -> str:
    return "".join(line.sign for line in diff(old, new))


@pytest.mark.parametrize("kinds", [2, 30, 3000])
def test_a_difference_has_every_line_of_both_texts(kinds):
    chance = random.Random(kinds)
    for length in (0, 1, 10, MAX_LINES + 50):
        old, new = ([str(chance.randrange(kinds)) for _ in range(length)] for _ in range(2))

        assert texts_in(diff("\n".join(old), "\n".join(new))) == (old, new)


def test_equal_beginnings_and_ends_of_any_length_stay():
    around = "same\n" * 8000

    assert signs(f"{around}old\n{around}", f"{around}new\n{around}") == " " * 8000 + "-+" + " " * 8000
    assert signs(around, around + "same") == " " * 8000 + "+"


def test_lines_beyond_the_most_that_are_compared_are_replaced():
    old = [str(number) for number in range(MAX_LINES + 10)]

    assert signs("\n".join(["old", *old, "old"]), "\n".join(["new", *old, "new"])).count(" ") == MAX_LINES - 1


@pytest.mark.alone
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\n" * 8000, "b\n" + "a\n" * 8000 + "c"),
        ("a\nb\n" * 4000, "b\na\n" * 4000 + "c"),
        (("a " * 1000 + "\n") * 2000, ("b " + "a " * 999 + "\n") * 2000),
        (("a.b,c;" * 300 + "\n") * 500, ("c.a,b;" * 300 + "\n") * 500),
    ],
)
def test_no_two_texts_take_long(old, new):
    began = time.process_time()

    diff(old, new)

    assert time.process_time() - began < 2
