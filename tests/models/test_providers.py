"""Providers as rows: the kinds that there are."""

import subprocess
import sys

import pytest
from django.core.exceptions import ValidationError

from chains.models import Provider
from chains.runtime.providers import KINDS, Kind
from tests.conftest import ROOT, environment_of_servers

WITH_ANOTHER_KIND = """
from chains.runtime.providers import KINDS

KINDS["another"] = KINDS["demo"]

from django.core.management import execute_from_command_line

execute_from_command_line(["manage.py", "makemigrations", "--check", "--dry-run"])
"""


@pytest.fixture
def another_kind():
    kind = Kind(label="Another", needs_endpoint=False, extra_params=frozenset(), module="nowhere")
    KINDS["another"] = kind
    yield
    del KINDS["another"]


def test_a_new_kind_needs_no_migration(shared_db):
    done = subprocess.run(
        [sys.executable, "-c", WITH_ANOTHER_KIND],
        cwd=ROOT,
        env=environment_of_servers(0) | {"DJANGO_SETTINGS_MODULE": "chainhub.settings"},
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("No changes detected\n", "", 0)


def test_the_kinds_are_those_of_the_runtime(db, another_kind):
    Provider(slug="mine", kind="another").full_clean()

    with pytest.raises(ValidationError, match="is not a valid choice"):
        Provider(slug="mine", kind="nope").full_clean()
