"""The short way of calls with a key answers as the long one does."""

import json
import re
import urllib.error
import urllib.request

import pytest
from django.conf import settings
from django.test import Client

from chainhub.shortway import LEFT_OUT, MIDDLEWARE, is_call
from tests.conftest import add_chain, add_prompt, step

BODY = {"input": {"topic": "cats"}}
CALLS = {
    "an answer": ("POST", "/chains/joke/invoke", BODY),
    "a batch": ("POST", "/chains/joke/batch", {"inputs": [BODY["input"]]}),
    "a stream": ("POST", "/chains/joke/stream", BODY),
    "hidden steps": ("POST", "/chains/joke/stream_events", BODY),
    "under a config": ("POST", "/chains/joke/c/N4XyA/invoke", BODY),
    "an input that does not fit": ("POST", "/chains/joke/invoke", {"input": 3}),
    "a failure": ("POST", "/chains/failing/invoke", BODY),
    "a failing stream": ("POST", "/chains/failing/stream", BODY),
    "no such chain": ("POST", "/chains/nope/invoke", BODY),
    "no such version": ("POST", "/chains/joke@9/invoke", BODY),
    "a name that is none": ("POST", "/chains/J@K@E/invoke", BODY),
    "another method": ("GET", "/chains/joke/invoke", None),
    "a method nobody knows": ("BREW", "/chains/joke/invoke", None),
}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CHANGES = ("date", "x-request-id", "x-chainhub-run-id")


def ask(server, method: str, path: str, body: object, key: str, **headers: str):
    """Status, headers and body, without what is new in every answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        server.url + path, data, {"Authorization": f"Bearer {key}", **headers}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            status, raw, text = response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        status, raw, text = error.code, error.headers, error.read().decode()
    headers = {name.lower(): value for name, value in raw.items() if name.lower() not in CHANGES}
    return status, headers, UUID.sub("RUN", text)


@pytest.fixture
def chains(joke):
    add_prompt("failing")
    add_chain("failing", step("failing", extra={"fail": "failed"}))


def original(middleware) -> str:
    """The name in the settings of what the short way has, or has in the event loop."""
    theirs = getattr(middleware, "hooks_class", middleware)
    return f"{theirs.__module__}.{theirs.__qualname__}"


def test_each_middleware_is_on_the_short_way_too_or_left_out_for_a_reason():
    taken = [original(middleware) for middleware in MIDDLEWARE]

    assert [name for name in settings.MIDDLEWARE if name not in LEFT_OUT] == taken
    assert [name for name in settings.MIDDLEWARE if name not in taken] == list(LEFT_OUT)
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_both_ways_answer_alike(server, chains, alice_key, call):
    short = ask(server, *call, alice_key)
    # What a page in a browser sends goes the long way.
    long = ask(server, *call, alice_key, Origin="http://elsewhere.example")

    assert long[1].pop("vary") == "origin"
    assert short == long


def test_a_wrong_key_is_refused_on_both_ways(server, chains):
    wrong = ask(server, *CALLS["an answer"], "nope")

    assert wrong[0] == 401
    assert wrong[2] == ask(server, *CALLS["an answer"], "nope", Origin="http://elsewhere.example")[2]


BASIC = "Basic cHJveHk6c2VjcmV0"


def test_a_login_at_a_proxy_disturbs_no_key_on_either_way(server, chains, alice_key):
    for cookie in ("", "theme=dark", "sessionid=x"):
        headers = {"Authorization": BASIC, "X-API-Key": alice_key, "Cookie": cookie}
        short = ask(server, *CALLS["an answer"], alice_key, **headers)
        long = ask(server, *CALLS["an answer"], alice_key, **headers, Origin="http://elsewhere.example")

        assert (short[0], long[0]) == (200, 200)


def test_a_login_at_a_proxy_disturbs_no_session(server, chains, alice):
    client = Client()
    client.force_login(alice)
    session = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    token = "c" * 32
    headers = {
        "Authorization": BASIC,
        "Cookie": f"{session}; {settings.CSRF_COOKIE_NAME}={token}",
        "X-CSRFToken": token,
    }

    assert ask(server, *CALLS["an answer"], "", **headers)[0] == 200
    del headers["X-CSRFToken"]
    assert ask(server, *CALLS["an answer"], "", **headers)[0] == 403


KEY = b"Bearer chk_live_x"


@pytest.mark.parametrize(
    ("headers", "short"),
    [
        ([(b"authorization", KEY), (b"cookie", b"a=b")], True),
        ([(b"authorization", BASIC.encode()), (b"x-api-key", b"chk_live_x"), (b"cookie", b"a=b")], True),
        ([(b"authorization", KEY), (b"x-api-key", b"chk_live_y"), (b"cookie", b"a=b")], True),
        ([(b"authorization", BASIC.encode()), (b"cookie", b"a=b")], False),
        ([(b"authorization", b"Basic chk_live_x"), (b"cookie", b"a=b")], False),
        # Repeated headers count as Django reads them: as one, joined by a comma.
        ([(b"authorization", BASIC.encode()), (b"authorization", KEY), (b"cookie", b"a=b")], False),
    ],
)
def test_a_foreign_credential_beside_a_cookie_goes_the_long_way(headers, short):
    assert is_call({"path": "/chains/joke/invoke", "headers": headers}) == short


@pytest.mark.parametrize(
    ("path", "headers", "short"),
    [
        ("/chains/joke/invoke", [b"authorization"], True),
        ("/chains/joke@7/stream", [b"x-api-key"], True),
        ("/chains/joke/c/abc/stream_log", [b"authorization"], True),
        ("/chains/joke/invoke", [], False),
        ("/chains/joke/invoke", [b"cookie"], False),
        ("/chains/joke/invoke", [b"authorization", b"origin"], False),
        ("/chains/joke/feedback", [b"authorization"], False),
        ("/chains/joke/playground/", [b"authorization"], False),
        ("/admin/", [b"authorization"], False),
        ("/chains/joke/invoke/", [b"authorization"], False),
    ],
)
def test_only_a_call_with_a_key_goes_the_short_way(path, headers, short):
    assert is_call({"path": path, "headers": [(name, b"x") for name in headers]}) == short
