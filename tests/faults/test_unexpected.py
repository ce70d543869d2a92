"""What nobody foresaw is logged once, with its traceback and the request's id, and without a secret."""

import http.client
import itertools
import json
import os
import re

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from chains.models import Chain
from tests.conftest import Server, rename_table, start_server, stop_server, wait_until
from tests.faults.conftest import connection_to
from tests.ws.conftest import session_cookie

RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)
SECRET = "sk-test-CANARY-0123456789"


@pytest.fixture(scope="module")
def broken(django_db_setup, django_db_blocker, tmp_path_factory):
    """A server as in production, with faults of its own beside those that the tests put into the database."""
    server = start_server(
        tmp_path_factory.mktemp("broken") / "log",
        DJANGO_SETTINGS_MODULE="tests.faults.broken",
        CHAINHUB_RUNNABLES="tests.faults.runnables",
        DEBUG="off",
        ENV_FILE=os.devnull,
        SECRET_KEY=settings.SECRET_KEY,
        FIELD_KEYS=",".join(settings.FIELD_KEYS),
        SECURE_SSL_REDIRECT="off",
    )
    yield server
    stop_server(server)


@pytest.fixture
def logged(broken, transactional_db):
    """The errors that the server has logged during the test, each with its traceback."""
    before = broken.log.stat().st_size

    def logged() -> list[str]:
        text = broken.log.read_bytes()[before:].decode()
        starts = [match.start() for match in RECORD.finditer(text)] + [len(text)]
        records = [text[start:end] for start, end in itertools.pairwise(starts)]
        assert SECRET not in text
        return [record for record in records if " ERROR " in record or " CRITICAL " in record]

    return logged


@pytest.fixture
def broken_session() -> str:
    """The cookie of a session whose user cannot be told."""
    session = SessionStore()
    session["_auth_user_id"] = "nobody"
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


@pytest.fixture
def broken_chain(joke) -> None:
    """Whoever asks what it has switched off fails."""
    Chain.objects.update(disabled_endpoints=3)


@pytest.fixture
def code_chains() -> None:
    """The rows that the server made at its start are gone with the test before."""
    Chain.objects.get_or_create(slug="raising", defaults={"kind": Chain.Kind.CODE})


def ask(server: Server, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    client = connection_to(server)
    body = json.dumps({"input": {"topic": "x"}, "key": SECRET})
    client.request(method, path, body, {"X-Request-ID": "id-1", "X-API-Key": SECRET, **headers})
    response = client.getresponse()
    return response.status, response.read()


def is_the_one_traceback(records: list[str], error: str) -> bool:
    (record,) = records
    return "Traceback (most recent call last)" in record and "id-1" in record and f"{error}: " in record


@pytest.mark.parametrize("path", ["/", "/admin/", "/account/"])
def test_of_a_page(broken, logged, broken_session, path):
    status, body = ask(broken, "GET", path, Cookie=broken_session)

    assert (status, b"<h1>" in body) == (500, True)
    assert is_the_one_traceback(logged(), "ValidationError")


def test_of_a_middleware(broken, logged):
    assert ask(broken, "GET", "/middleware")[0] == 500
    assert is_the_one_traceback(logged(), "ValueError")


def test_of_what_is_no_exception(broken, logged):
    assert ask(broken, "GET", "/panic")[0] == 500
    assert is_the_one_traceback(logged(), "tests.faults.broken.Panic")


def test_of_an_answer_that_cannot_be_sent(broken, logged):
    assert ask(broken, "GET", "/cookie")[0] == 500
    assert is_the_one_traceback(logged(), "UnicodeEncodeError")


@pytest.mark.parametrize("more", [{}, {"Origin": "http://127.0.0.1:8000"}], ids=["short way", "long way"])
def test_of_a_call_with_a_key(broken, logged, broken_chain, alice_key, more):
    status, body = ask(broken, "POST", "/chains/joke/invoke", **{"X-API-Key": alice_key}, **more)

    assert (status, json.loads(body)["code"]) == (500, "internal_error")
    assert is_the_one_traceback(logged(), "TypeError")
    assert alice_key not in logged()[0]


@pytest.mark.parametrize(("endpoint", "status"), [("invoke", 500), ("stream", 200)])
def test_of_a_chain_in_code(broken, logged, code_chains, alice_key, endpoint, status):
    told = ask(broken, "POST", f"/chains/raising/{endpoint}", **{"X-API-Key": alice_key})

    assert (told[0], b'"internal_error"' in told[1]) == (status, True)
    assert is_the_one_traceback(logged(), "ValueError")


@pytest.mark.parametrize("path", ["/api/v1/runs/", "/chains/joke/input_schema"])
def test_of_a_call_with_a_session(broken, logged, broken_session, path):
    client = connection_to(broken)
    client.request("GET", path, headers={"Cookie": broken_session, "X-Request-ID": "id-1"})
    response = client.getresponse()

    assert (response.status, json.loads(response.read())["code"]) == (500, "internal_error")
    assert is_the_one_traceback(logged(), "ValidationError")


@pytest.mark.parametrize("path", ["/chains/broken/stream", "/stream"], ids=["short way", "long way"])
def test_of_a_stream(broken, logged, path):
    for _ in range(2):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(broken, "POST", path)

    wait_until(lambda: len(logged()) == 2, or_say=lambda: "\n".join(logged()))
    assert all(is_the_one_traceback([record], "ValueError") for record in logged())
    assert "failed=True" in broken.log.read_text()


def test_of_a_handshake(broken, logged, broken_session):
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"{broken.websocket_url}/ws/chains/joke/",
            origin=broken.url,
            additional_headers={"Cookie": broken_session, "X-Request-ID": "id-1"},
            legacy=True,
        )

    assert refused.value.response.status_code == 500
    assert is_the_one_traceback(logged(), "ValidationError")


def test_a_refusal_is_no_news(broken, logged, alice_key):
    for path in ("/nope", "/chains/nope/invoke", "/api/v1/runs/", "/admin/nope/", "/metrics"):
        assert 400 <= ask(broken, "POST", path)[0] < 500

    assert ask(broken, "GET", "/", Host="evil.example")[0] == 400
    assert ask(broken, "GET", "/chains/joke/invoke", **{"X-API-Key": alice_key})[0] == 405
    assert ask(broken, "GET", "/metrics", **{"X-API-Key": alice_key})[0] == 403
    assert logged() == []


@pytest.mark.skipif(connection.vendor == "postgresql", reason="There, a missing table is no outage.")
def test_an_outage_of_the_database_is_one_line(broken, logged, alice):
    cookie = session_cookie(alice)
    rename_table("django_session", "elsewhere")
    try:
        status, _ = ask(broken, "GET", "/", Cookie=cookie)
        with pytest.raises(InvalidStatus):
            connect(
                f"{broken.websocket_url}/ws/chains/joke/",
                origin=broken.url,
                additional_headers={"Cookie": cookie},
                legacy=True,
            )
    finally:
        rename_table("elsewhere", "django_session")

    assert status >= 500
    assert ["The database does not answer" in record for record in logged()] == [True, True]
    assert "Traceback" not in "".join(logged())
