"""The tables of the README and .env.example say what the code does."""

import ast
import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.management import get_commands
from django.test import Client
from rest_framework.exceptions import APIException, MethodNotAllowed

import accounts
import chainhub.server
import chains.api
from accounts.callers import CredentialsRefused
from chains.api import urls
from chains.api.errors import problem_of
from chains.api.json import InvalidBody
from chains.runtime.errors import ChainHubError, InvalidTemplate
from chains.runtime.wire.strict_json import InvalidJSON
from chains.ws.consumers import ChainConsumer
from chains.ws.routing import websocket_application
from tests.chainhub.test_urls import routes
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
VALUES = {"<ref>": "joke", "<slug>": "joke", "<run_id>": "00000000-0000-0000-0000-000000000000"}


def table(*columns: str) -> list[list[str]]:
    """The cells of the one table with these columns, without the quotes of code."""
    _, found, rest = README.partition(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n")
    assert found
    rows = itertools.takewhile(lambda line: line.startswith("|"), rest.splitlines())
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


# --- The API -----------------------------------------------------------------------------------

CALLS = [(*call.split(), config) for call, config, _ in table("call", "with a config", "what")]
OVER_HTTP = [call for call in CALLS if call[0] != "WS"]


def address(path: str) -> str:
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return path


def exists(method: str, path: str) -> bool:
    """Also where it refuses a stranger."""
    return Client().generic(method, path).status_code not in (404, 405)


@pytest.mark.parametrize(("method", "path", "config"), OVER_HTTP)
def test_each_call_exists_and_exactly_those_said_to_under_a_config(db, method, path, config):
    head, _, name = address(path).rpartition("/")

    assert exists(method, address(path))
    assert exists(method, f"{head}/c/N4XyA/{name}") == (config == "yes")


def test_each_address_of_the_api_is_in_the_table():
    found = {re.sub(r"<\w+:", "<", route) for route, _ in routes(urls.urlpatterns)}

    assert {route for route in found if "<config_hash>" not in route} == {
        path[1:] for _, path, _ in OVER_HTTP
    }


def test_the_websocket_is_the_playgrounds():
    ((path, config),) = [(path, config) for method, path, config in CALLS if method == "WS"]
    router = websocket_application.application.inner
    found = next(route for route in router.routes if route.pattern.match(address(path)[1:]))

    assert (found.callback.consumer_class, config) == (ChainConsumer, "")


# --- Errors ------------------------------------------------------------------------------------

# Only editors meet them, as errors of a form.
FOR_EDITORS = {InvalidTemplate}


def tree(error: type) -> Iterator[type]:
    yield error
    for child in error.__subclasses__():
        yield from tree(child)


def modules(package) -> Iterator[tuple[Any, str]]:
    """Each with its source."""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations" not in info.name:
            module = importlib.import_module(info.name)
            yield module, Path(module.__file__).read_text()


def raised(package) -> Iterator[APIException]:
    """Those of rest_framework's errors that the modules of a package raise themselves."""
    for module, source in modules(package):
        for node in ast.walk(ast.parse(source)):
            call = node.exc if isinstance(node, ast.Raise) else None
            name = call.func if isinstance(call, ast.Call) else call
            error = getattr(module, name.id, None) if isinstance(name, ast.Name) else None
            if isinstance(error, type) and issubclass(error, APIException):
                yield from made(error, getattr(call, "keywords", []))


def made(error: type[APIException], keywords: list[ast.keyword]) -> list[APIException]:
    """As the code makes it."""
    if error is InvalidBody:
        return [error(InvalidJSON("", status)) for status in (400, 422)]
    if error is MethodNotAllowed:
        return [error("GET")]
    named = {each.arg: ast.literal_eval(each.value) for each in keywords if each.arg == "code"}
    return [error(**named)]


def told() -> Iterator[tuple[str, int]]:
    """Each code that a client may meet, with its status."""
    for error in tree(ChainHubError):
        if error not in FOR_EDITORS and error.__module__.startswith("chains."):
            problem = problem_of(error())
            yield problem.code, problem.status
    beside = [CredentialsRefused(), PermissionDenied(), SuspiciousOperation()]
    for error in [*beside, *raised(accounts), *raised(chains.api)]:
        problem = problem_of(error)
        yield problem.code, problem.status
    # The server's own refusals, before any application is asked.
    for _, source in modules(chainhub.server):
        for status, code in re.findall(r'refuse\((\d+), "(\w+)"', source):
            yield code, int(status)


def test_the_table_of_errors_has_each_code_with_its_status_and_no_other():
    rows = table("code", "status", "meaning")
    written = {(code, int(status)) for code, statuses, _ in rows for status in statuses.split(",")}

    assert written == set(told())
    assert [code for code, _, _ in rows] == list(dict.fromkeys(code for code, _, _ in rows))


# --- Operating ---------------------------------------------------------------------------------


def test_the_table_of_commands_has_all_of_our_own():
    written = {call.removeprefix("python manage.py ").split()[0] for call, _ in table("command", "what")}
    known = get_commands()

    assert written <= set(known)
    assert {name for name, app in known.items() if app in ("accounts", "chainhub", "chains")} <= written


def test_the_example_of_an_environment_has_each_variable_that_is_read():
    settings = (ROOT / "chainhub/settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|(?:generated_)?secret)\(\s*"([A-Z_]+)"', settings))
    example = (ROOT / ".env.example").read_text()
    written = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))

    assert written | {"ENV_FILE"} == read
    assert "ENV_FILE" in example
