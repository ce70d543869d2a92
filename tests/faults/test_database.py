"""A database that goes away while the server runs."""

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from django.db import connection

from accounts.models import known_sessions
from chains.models import Run
from tests.chainhub.test_quickstart import quickstart
from tests.conftest import ROOT, answers, environment_of_servers, free_port, rename_table, wait_until
from tests.faults.conftest import Load, open_socket


def test_a_server_without_its_database_says_so_and_comes_back(tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    with quickstart(home) as printed:
        url, key = re.search(r"(http://[\d.:]+)/", printed)[1], re.search(r"Bearer (\S+)'", printed)[1]
        assert ask(url, key)[0] == 200

        home.rename(away)
        # What was looked up before is known for a moment.
        wait_until(lambda: ask(url, key)[0] != 200)
        status, headers, body = ask(url, key)

        assert (status, headers["Retry-After"], body["code"]) == (503, "5", "database_unavailable")
        assert not answers(f"{url}/readyz")
        assert answers(f"{url}/healthz")
        assert "Traceback" not in (away / "log").read_text()

        away.rename(home)
        wait_until(lambda: ask(url, key)[0] == 200)
        assert answers(f"{url}/readyz")


@pytest.mark.parametrize("url", ["postgres://nobody@127.0.0.1:1/none", "sqlite:///{tmp_path}/empty"])
def test_without_a_usable_database_no_server_starts(tmp_path, url):
    refused = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env={**environment_of_servers(free_port()), "DATABASE_URL": url.format(tmp_path=tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 1
    assert "CommandError: The database cannot be used: " in refused.stderr
    assert "has manage.py migrate been run?" in refused.stderr
    assert "Traceback" not in refused.stderr


def ask(url: str, key: str) -> tuple[int, dict, dict]:
    request = urllib.request.Request(
        f"{url}/chains/fitness/input_schema", headers={"Authorization": f"Bearer {key}"}
    )
    with contextlib.closing(open_anyway(request)) as response:
        return response.status, response.headers, json.loads(response.read())


def open_anyway(request: urllib.request.Request):
    try:
        return urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refused:
        return refused


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("table", "message"),
    [("chains_chain", {"type": "start", "input": {"topic": "word"}}), ("django_session", {"type": "ping"})],
)
def test_a_socket_outlives_a_fault_of_the_database(start, alice, joke, table, message):
    client = open_socket(start(), alice, "joke")
    # So long a session is known without asking.
    time.sleep(known_sessions.keep_s + 0.1)

    rename_table(table, "elsewhere")
    try:
        client.send(json.dumps(message))
        told = json.loads(client.recv(timeout=5))
    finally:
        rename_table("elsewhere", table)

    assert (told["type"], told["code"]) == (
        "error",
        # To PostgreSQL, a table that is missing is a mistake in the statement.
        "internal_error" if connection.vendor == "postgresql" else "database_unavailable",
    )
    client.send(json.dumps(message))
    assert json.loads(client.recv(timeout=5))["type"] in ("started", "pong")


@pytest.mark.django_db(transaction=True)
@pytest.mark.alone
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connections that could be cut.")
def test_cut_connections_lose_no_record(start, alice_key, joke):
    server = start()
    with Load(server, alice_key, callers=8) as load:
        for _ in range(3):
            seen = len(load.answers)
            wait_until(lambda seen=seen: len(load.answers) > seen + 50, seconds=10)
            assert cut_connections() > 0
        wait_until(lambda: len(load.answers) > seen + 200, seconds=10)

    answered = [answered for _, answered in load.answers]
    # Whoever was waiting for one of them is refused, and may try again.
    assert answered.count(False) <= 3 * 8
    assert all(answered[-50:])
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Run.objects.count() == answered.count(True)


def cut_connections() -> int:
    """As a restart of the database does, or a proxy before it; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]
