"""Who may open a socket: pages of our own origins, for whoever is signed in."""

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.ws.conftest import session_cookie

OWN = object()
FOREIGN = {
    "none": None,
    "empty": "",
    "null": "null",
    "foreign": "https://evil.example",
    "file": "file://",
    "other port": "http://127.0.0.1:9",
    "no port": "http://127.0.0.1",
    "other scheme": "{https}",
    "longer": "{own}.evil.example",
    "user info": "http://127.0.0.1@evil.example",
    "path": "{own}/x",
    "open bracket": "http://[",
    "list": "{own}, https://evil.example",
    "not ASCII": "http://ünïcode.example",
    "words": "no url at all",
}


@pytest.fixture
def handshake(server, server_log, joke):
    """Try to open a socket; the status of a refusal, or None where it was opened."""

    def handshake(*, origin=OWN, cookie="", path="/ws/chains/joke/", **headers: str) -> int | None:
        own = {"origin": server.url} if origin is OWN else {}
        if isinstance(origin, str):
            https = server.url.replace("http:", "https:")
            headers["Origin"] = origin.replace("{own}", server.url).replace("{https}", https)
        if cookie:
            headers["Cookie"] = cookie
        try:
            with connect(server.websocket_url + path, additional_headers=headers, **own) as connection:
                connection.send('{"type": "ping"}')
                assert connection.recv(timeout=5) == '{"type": "pong"}'
        except InvalidStatus as refused:
            return refused.response.status_code
        return None

    return handshake


def test_a_page_of_ours_may_open_a_socket_for_whoever_is_signed_in(handshake, cookie):
    assert handshake(cookie=cookie) is None


@pytest.mark.parametrize("origin", FOREIGN.values(), ids=FOREIGN)
def test_any_other_origin_is_refused_before_any_message(handshake, cookie, origin):
    # What is no origin at all is turned away by the server below, as a bad request.
    assert handshake(origin=origin, cookie=cookie) in (400, 403)


COOKIES = [
    "",
    "sessionid=",
    "sessionid=x",
    "sessionid=" + "x" * 5000,
    "sessionid=%00",
]
COOKIES += ["other=1", "sessionid", "sessionid='; DROP TABLE django_session; --"]


@pytest.mark.parametrize("cookie", COOKIES, ids=lambda text: ascii(text[:16]))
def test_whoever_is_not_signed_in_is_refused_before_any_message(handshake, cookie):
    assert handshake(cookie=cookie) == 403


def test_whoever_may_no_longer_sign_in_is_refused(handshake, alice, cookie):
    alice.is_active = False
    alice.save()

    assert handshake(cookie=cookie) == 403


def test_a_login_at_a_proxy_does_not_disturb_whoever_is_signed_in(handshake, cookie):
    for foreign in ("Basic cHJveHk6c2VjcmV0", "Bearer ", ""):
        assert handshake(cookie=cookie, Authorization=foreign) is None
        assert handshake(Authorization=foreign) == 403


def test_a_key_opens_no_socket(handshake, alice_key):
    assert handshake(Authorization=f"Bearer {alice_key}") == 403
    assert handshake(path=f"/ws/chains/joke/?key={alice_key}") == 403
    assert handshake(cookie=f"sessionid={alice_key}") == 403


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ws/",
        "/ws/chains/",
        "/ws/chains/joke",
        "/chains/joke/invoke",
        "/ws/chains/a/b/",
        "/%00",
        "/ws/nope",
    ],
)
def test_there_is_no_socket_at_any_other_path(handshake, cookie, path):
    assert handshake(path=path, cookie=cookie) == 403


def test_each_user_is_themselves(handshake, alice, bob):
    assert handshake(cookie=session_cookie(bob)) is None
