"""Who may call: one refusal for every bad credential, on every route that needs one."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import generate_key, issue_key
from tests.api.conftest import JSON, SAME_ID

RUN_ROUTES = [("POST", f"/chains/joke/{name}") for name in ("invoke", "batch", "stream")]
SCHEMA_ROUTES = [("GET", f"/chains/joke/{name}_schema") for name in ("input", "output", "config")]
RESOURCES = [
    ("GET", "/api/v1/chains/"),
    ("GET", "/api/v1/chains/joke/"),
    ("GET", "/api/v1/runs/"),
    ("GET", "/api/v1/runs/00000000-0000-0000-0000-000000000000/"),
]
every_route = pytest.mark.parametrize(
    ("method", "path"), RUN_ROUTES + SCHEMA_ROUTES + RESOURCES, ids=lambda part: part.rstrip("/")
)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def bad_credentials(alice, bob, alice_key) -> dict[str, dict[str, str]]:
    revoked = issue_key(user=alice, name="revoked", expires_at=None)
    revoked.row.revoke()
    expired = issue_key(user=alice, name="old", expires_at=timezone.now() - timedelta(seconds=1))
    orphaned = issue_key(user=bob, name="of someone who left", expires_at=None)
    bob.is_active = False
    bob.save()
    typo = alice_key[:-1] + ("A" if alice_key[-1] != "A" else "B")
    return {
        "no key": {},
        "empty": {"Authorization": ""},
        "garbage": bearer("garbage"),
        "SQL": bearer("' OR '1'='1"),
        "NUL": bearer("chk_live_" + "\0" * 49),
        "emoji": bearer("🔑"),
        "10 kB": bearer("x" * 10_240),
        "unknown": bearer(generate_key()),
        "typo": bearer(typo),
        "revoked": bearer(revoked.secret),
        "expired": bearer(expired.secret),
        "inactive owner": bearer(orphaned.secret),
        "no scheme": {"Authorization": alice_key},
        "other scheme": {"Authorization": f"Basic {alice_key}"},
        "revoked in the other header": {"X-API-Key": revoked.secret},
        "cookie": {"Cookie": f"api_key={alice_key}"},
        "session cookie": {"Cookie": f"sessionid={alice_key}"},
    }


@every_route
def test_every_bad_credential_gets_the_same_401(joke, bad_credentials, method, path):
    answers = {}
    for kind, headers in bad_credentials.items():
        response = Client().generic(method, path, b"{}", content_type=JSON, headers=headers | SAME_ID)
        answers[kind] = (response.status_code, response.headers["WWW-Authenticate"], response.content)

    assert set(answers.values()) == {(401, "Bearer", answers["no key"][2])}


def test_every_run_route_refuses_with_the_same_body(joke):
    answers = {Client().generic(method, path).content for method, path in RUN_ROUTES + SCHEMA_ROUTES}

    assert len(answers) == 1


@every_route
def test_a_key_in_the_query_string_is_not_looked_at(joke, alice_key, method, path):
    for name in ("key", "api_key", "token", "access_token", "authorization", "X-API-Key"):
        assert Client().generic(method, f"{path}?{name}={alice_key}").status_code == 401


def test_two_different_keys_are_a_bad_request(joke, alice_key, bob_key):
    headers = {"Authorization": f"Bearer {alice_key}", "X-API-Key": bob_key}

    for method, path in RUN_ROUTES + RESOURCES:
        response = Client().generic(method, path, b"{}", headers=headers)
        assert response.status_code == 400
        assert "X-API-Key" in response.json()["detail"]


# A login at a proxy in front, which browsers and clients then send to us too.
BASIC = {"Authorization": "Basic cHJveHk6c2VjcmV0"}


@every_route
def test_a_login_at_a_proxy_disturbs_neither_a_key_nor_a_session(
    shared_db, joke, alice, alice_key, method, path
):
    client = Client()
    by_key = client.generic(method, path, b"{}", headers=BASIC | {"X-API-Key": alice_key})
    client.force_login(alice)
    by_session = client.generic(method, path, b"{}", headers=BASIC)

    # The body is not complete, and there is no run with the id of zeros.
    expected = 422 if method == "POST" else 404 if "0000" in path else 200
    assert (by_key.status_code, by_session.status_code) == (expected, expected)


def test_a_bad_credential_is_refused_before_the_body_is_read(db):
    response = Client().post("/chains/joke/invoke", b"[" * 100_000, content_type=JSON)

    assert response.status_code == 401


def test_a_stranger_is_not_told_which_chains_exist(joke):
    answers = [Client().post(f"/chains/{slug}/invoke", {}, content_type=JSON) for slug in ("joke", "nope")]

    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].content == answers[1].content
