"""Chains in code as rows: how they are found, who may run them, and what an operator sets."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections

from chains.actions.codechains import record_registered
from chains.actions.find import find, resolve
from chains.actions.runs import run_chain
from chains.actions.runs.call import RunCall
from chains.doors import DOORS
from chains.models import Chain
from chains.runtime import registry as chains_in_code
from chains.runtime.errors import ChainNotFound, InvalidSpec
from chains.runtime.plans.code import CodePlan
from chains.runtime.registry import register
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture
def echo(db, registry) -> Chain:
    register("echo", lambda value: value, description="Says it again", expose_steps=True)
    record_registered()
    return Chain.objects.get(slug="echo")


# --- Rows --------------------------------------------------------------------------------------


def test_a_registered_chain_has_a_row_like_any_other(echo):
    assert (echo.kind, echo.enabled, echo.access) == ("code", True, "everyone")
    assert (echo.description, echo.expose_steps) == ("Says it again", True)
    assert not echo.versions.exists()


def test_what_an_operator_has_set_stays(echo):
    settings = {"enabled": False, "expose_steps": False, "description": "Ours", "access": "groups"}
    Chain.objects.update(**settings)

    record_registered()

    assert Chain.objects.filter(slug="echo", **settings).count() == 1


def test_a_configured_chain_keeps_its_name(joke, registry):
    register("joke", lambda value: value)

    with pytest.raises(ImproperlyConfigured, match=f"{__name__!r} registers the chain 'joke'.*Rename one"):
        record_registered()

    assert Chain.objects.get().kind == "spec"


def test_a_configured_chain_goes_on_while_code_claims_its_name(joke, alice):
    register("joke", lambda value: value)

    found, plan = resolve(slug="joke", user=alice)

    assert (found.version.number, plan.version) == (1, 1)


# --- Found and resolved ------------------------------------------------------------------------


def test_the_code_that_runs_is_the_only_version(echo, alice):
    for ref in ("production", "latest"):
        _, plan = resolve(slug="echo", ref=ref, user=alice)
        assert isinstance(plan, CodePlan)
        assert (plan.version, plan.package, plan.chain_description) == (None, "tests", "Says it again")

    for ref in ("1", "staging", ""):
        with pytest.raises(ChainNotFound):
            find(slug="echo", ref=ref, user=alice)


def test_a_chain_that_is_registered_later_gets_its_row_when_it_is_asked_for(db, alice):
    register("late", lambda value: value)

    assert find(slug="late", user=alice).chain.kind == "code"
    assert Chain.objects.get().slug == "late"


def test_requests_that_are_the_first_at_the_same_time_all_find_it(shared_db, alice):
    register("late", lambda value: value)

    def find_late(_: int) -> str:
        try:
            return find(slug="late", user=alice).chain.slug
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(find_late, range(16))) == ["late"] * 16

    assert Chain.objects.count() == 1


def test_a_chain_is_not_recorded_again_for_those_who_may_not_run_it(echo, alice):
    Chain.objects.update(enabled=False)

    with pytest.raises(ChainNotFound):
        find(slug="echo", user=alice)

    assert Chain.objects.count() == 1


def test_a_group_restricts_a_chain_in_code_too(echo, alice, bob, staff):
    Chain.objects.filter(slug="echo").update(access="groups")
    group = Group.objects.create(name="readers")
    echo.groups.add(group)
    alice.groups.add(group)

    assert find(slug="echo", user=alice).chain == echo
    assert find(slug="echo", user=staff).chain == echo
    with pytest.raises(ChainNotFound):
        find(slug="echo", user=bob)


def test_a_row_whose_code_is_gone_is_explained_to_editors_only(echo, alice, staff):
    del chains_in_code._registered["echo"]

    with pytest.raises(InvalidSpec) as told_alice:
        resolve(slug="echo", user=alice)
    with pytest.raises(InvalidSpec) as told_staff:
        resolve(slug="echo", user=staff)

    assert str(told_alice.value) == "The chain's configuration cannot run."
    assert str(told_staff.value) == "No code registers the chain 'echo' any more."


def test_an_operators_words_come_before_the_codes(echo, alice):
    Chain.objects.update(name="Echo", description="Ours", system_messages=True)

    _, plan = resolve(slug="echo", user=alice)

    assert (plan.chain_name, plan.chain_description, plan.system_messages) == ("Echo", "Ours", True)


# --- Discovery ---------------------------------------------------------------------------------

# A process of its own starts Django, says which chains it has found, and then why others cannot be.
START = """
import chainhub.settings, django
chainhub.settings.INSTALLED_APPS += ["jokes"]
django.setup()
from chains.actions.codechains import discover
from chains.runtime.registry import all_registered
from django.conf import settings
for entry in all_registered():
    print(entry.slug, "|", entry.module, "|", entry.package)
for settings.RUNNABLES in (["broken"], ["missing"], ["misnamed"]):
    try:
        discover()
    except Exception as error:
        print(type(error).__name__, "|", error)
"""
REGISTER = "from chains.runtime.registry import register\nregister({!r}, lambda value: value)\n"
MODULES = {
    "jokes/__init__.py": "__version__ = '1.2.0'\n",
    "jokes/runnables.py": REGISTER.format("/pun"),
    "beside.py": REGISTER.format("echo"),
    "broken.py": "import no_such_module\n",
    "misnamed.py": REGISTER.format("No Name"),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> list[str]:
    """By a start where a developer has an app, a module beside it, and broken ones."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "jokes").mkdir()
    for name, text in MODULES.items():
        (folder / name).write_text(text)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "chainhub.settings",
        "PYTHONPATH": f"{ROOT}:{folder}",
        "CHAINHUB_RUNNABLES": "beside",
    }
    started = subprocess.run(
        [sys.executable, "-c", START], env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert started.returncode == 0, started.stderr
    return started.stdout.splitlines()


def test_chains_are_found_in_apps_and_in_the_modules_that_settings_name(said):
    assert said[:2] == ["echo | beside | beside", "pun | jokes.runnables | jokes 1.2.0"]


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("broken", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("missing", "ModuleNotFoundError: No module named 'missing'"),
        ("misnamed", "RegistrationError: 'No Name' cannot name a chain"),
    ],
)
def test_a_module_that_cannot_be_loaded_stops_the_start_and_is_named(said, module, reason):
    told = f"ImproperlyConfigured | The chains in the module {module!r} cannot be loaded: {reason}"

    assert any(line.startswith(told) for line in said[2:])


async def test_code_that_asks_the_database_gives_its_connection_back(shared_db, registry, as_alice):
    async def count(_: str) -> int:
        return await Chain.objects.acount()

    register("count", count)

    result = await run_chain(RunCall(slug="count", caller=as_alice, input="x", door=DOORS["invoke"]))

    assert result.output == 1
    assert await sync_to_async(lambda: connection.connection)() is None
