"""A door is one row in one table: what is added there works everywhere, and no run starts elsewhere."""

import ast
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from channels.routing import URLRouter
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from chains.doors import DOORS, switches
from chains.migrations._switches import CloseSwitch
from chains.models import Chain
from chains.ws.routing import websocket_application
from tests.chainhub.test_urls import routes
from tests.conftest import ROOT

# --- A further row -----------------------------------------------------------------------------

WITH_A_FURTHER_DOOR = """
import asyncio, json
import django
django.setup()

from chains.doors import DOORS, Door

DOORS["whisper"] = Door(
    name="whisper",
    dialect="langserve",
    mode="stream",
    source="a_source_with_many_letters",
    label="whispered",
    switch="whisper",
    text="the answer, quietly",
    takes_short_way=True,
)

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.test import AsyncClient, Client

call_command("migrate", verbosity=0)
call_command("seeddemo", verbosity=0)

from accounts.keys import issue_key
from accounts.models import User
from chainhub.shortway import is_call
from chains.models import Chain, Run

root = User.objects.create_superuser("root")
settings.ALLOWED_HOSTS.append("testserver")
key = {"Authorization": f"Bearer {issue_key(user=root, name='test', expires_at=None).secret}"}
body = {"input": {"input": "How do I begin?"}}

async def whisper(path="/chains/fitness/whisper"):
    answer = await AsyncClient().post(path, body, content_type="application/json", headers=key)
    streamed = b"".join([piece async for piece in answer]) if answer.streaming else b""
    return answer, streamed.decode()

answer, streamed = asyncio.run(whisper())
below_a_config, _ = asyncio.run(whisper("/chains/fitness/c/N4XyA/whisper"))
run = Run.objects.get(pk=answer.headers["X-ChainHub-Run-ID"])
admin = Client()
admin.force_login(root)
chain = Chain.objects.get(slug="fitness")
form = admin.get(f"/admin/chains/chain/{chain.pk}/change/").content.decode()
run_page = admin.get(f"/admin/chains/run/{run.pk}/change/").content.decode()
listed = admin.get("/api/v1/runs/?source=a_source_with_many_letters").json()["results"]
described = admin.get("/openapi.json").json()["paths"]
asked = admin.options(
    "/chains/fitness/whisper",
    headers={"Origin": settings.ALLOWED_ORIGINS[0], "Access-Control-Request-Method": "POST"},
)
chain.disabled_endpoints = ["whisper"]
chain.save()
off, _ = asyncio.run(whisper())
print(json.dumps({
    "statuses": [answer.status_code, below_a_config.status_code, off.status_code],
    "ends": streamed.rstrip().splitlines()[-1],
    "record": [run.source, run.get_source_display(), run.status],
    "listed": [row["source"] for row in listed[:1]],
    "short way": is_call({"path": "/chains/fitness/whisper", "headers": [(b"authorization", b"x")]}),
    "cors": asked.headers.get("access-control-allow-origin"),
    "switch": "the answer, quietly" in form,
    "run page": "whispered" in run_page,
    "described": "/chains/fitness/whisper" in described,
}))
"""


def test_a_row_in_the_table_is_all_that_a_door_needs(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    answer = subprocess.run(
        [sys.executable, "-c", WITH_A_FURTHER_DOOR],
        cwd=ROOT,
        env=environment | {"DJANGO_SETTINGS_MODULE": "tests.settings", "VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1]) == {
        "statuses": [200, 200, 404],
        "ends": "event: end",
        "record": ["a_source_with_many_letters", "whispered", "succeeded"],
        "listed": ["a_source_with_many_letters"],
        "short way": True,
        "cors": "http://localhost:8000",
        "switch": True,
        "run page": True,
        "described": True,
    }


# --- Every way to start a run ------------------------------------------------------------------

STARTERS = {"start_run", "run_chain", "run_batch"}


def served() -> Iterator[tuple[str, Any]]:
    """Every route of the URLconf and of the WebSocket, with what it calls, decorators taken off."""
    for route, pattern in routes():
        yield route, inspect.unwrap(pattern.callback)
    application: Any = websocket_application
    while not isinstance(application, URLRouter):
        application = getattr(application, "application", None) or application.inner
    for pattern in application.routes:
        yield str(pattern.pattern), pattern.callback


def names_in(node: ast.AST) -> set[str]:
    """Also those behind a dot: a module may be imported whole."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}


def reach(module: ModuleType, name: str) -> list[ast.AST]:
    """The definition of ``name`` in its module, and those of that module which it leads to."""
    tree = ast.parse(inspect.getsource(module))
    definitions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    found, due = {}, [name]
    while due:
        name = due.pop()
        if name in definitions and name not in found:
            found[name] = definitions[name]
            due += names_in(definitions[name])
    return list(found.values())


def doors_of(served: Any) -> list[str] | None:
    """The doors that it names; ``None`` where it starts no run."""
    view = getattr(served, "view_class", None) or getattr(served, "consumer_class", None) or served
    if not view.__module__.startswith("chains.") or not hasattr(view, "__name__"):
        return None
    nodes = reach(sys.modules[view.__module__], view.__name__)
    if not any(names_in(node) & STARTERS for node in nodes):
        return None
    if door := getattr(served, "view_initkwargs", {}).get("door"):
        return [door.name]
    return [
        node.slice.value
        for definition in nodes
        for node in ast.walk(definition)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "DOORS"
        and isinstance(node.slice, ast.Constant)
    ]


def test_every_route_that_can_start_a_run_is_in_the_table_and_every_row_has_a_route():
    found = {route: doors for route, view in served() if (doors := doors_of(view)) is not None}

    assert {route: doors for route, doors in found.items() if len(doors) != 1} == {}
    assert {door for doors in found.values() for door in doors} == set(DOORS)


@pytest.mark.parametrize("field", ["name", "source"])
def test_no_two_doors_have_the_same(field):
    values = [getattr(door, field) for door in DOORS.values()]

    assert len(set(values)) == len(values)


# --- Chains that exist -------------------------------------------------------------------------

# What every chain had before switches were closed on existing ones.
FIRST_SWITCHES = {"invoke", "batch", "stream", "stream_events", "stream_log", "playground", "feedback"}
FIRST_SWITCHES |= {"input_schema", "output_schema", "config_schema"}


def test_a_new_switch_is_closed_on_chains_that_exist():
    """A switch without its migration would open every chain to something that nobody decided about."""
    loader = MigrationLoader(None)
    operations = [op for m in loader.disk_migrations.values() for op in m.operations]
    closed = {op.switch for op in operations if isinstance(op, CloseSwitch)}

    assert set(switches()) - FIRST_SWITCHES == closed


def test_closing_a_switch_leaves_the_others_and_can_be_taken_back(shared_db, joke):
    Chain.objects.update(disabled_endpoints=["batch"])
    operation = CloseSwitch("whisper")

    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("chains", editor, apps_state(), apps_state())
    assert Chain.objects.get().disabled_endpoints == ["batch", "whisper"]

    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("chains", editor, apps_state(), apps_state())
    assert Chain.objects.get().disabled_endpoints == ["batch"]


def apps_state():
    return MigrationLoader(connection).project_state()
