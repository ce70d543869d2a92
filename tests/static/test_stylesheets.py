"""What the stylesheets promise one another."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from tests.conftest import ROOT

TOKENS = ROOT / "static/tokens.css"
# The page of API docs is Swagger UI's, with its colours.
OURS = [path for path in (ROOT / "static").rglob("*.css") if path.name != "docs.css"]
DEFINED = re.compile(r"^\s*(--[\w-]+):", re.MULTILINE)


def names_in(path: str | Path, pattern: re.Pattern[str]) -> set[str]:
    return set(pattern.findall(Path(path).read_text()))


def names_of_django() -> set[str]:
    sheets = (finders.find(f"admin/css/{name}.css") for name in ("base", "dark_mode", "responsive"))
    return set().union(*(names_in(sheet, DEFINED) for sheet in sheets))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_every_value_that_is_used_is_defined(path):
    used = names_in(path, re.compile(r"var\((--[\w-]+)"))
    known = names_in(TOKENS, DEFINED)
    if "admin" in path.parts:
        known |= names_of_django()
    assert used - known == set()


def test_no_value_of_ours_has_the_name_of_one_of_djangos():
    assert names_in(TOKENS, DEFINED) & names_of_django() == set()


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_colour_with_a_name_is_used_by_its_name(path):
    colour = re.compile(r"#[0-9a-f]{6}\b")
    named = names_in(TOKENS, colour) - {"#ffffff"}
    assert path == TOKENS or names_in(path, colour) & named == set()


def test_the_pages_for_our_own_faults_name_stylesheets_that_are_there():
    """They name them without their hash, so that they need nothing that could have failed."""
    page = (ROOT / "templates/_failure.html").read_text()
    named = re.findall(r'href="{% get_static_prefix %}([^"]+\.css)"', page)
    assert named
    assert [name for name in named if not finders.find(name)] == []
