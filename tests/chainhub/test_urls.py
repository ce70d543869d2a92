"""Every address there is: refused to strangers unless listed here, and never an internal error."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from chains.api.langserve.urls import SCHEMAS
from chains.doors import DOORS, FOR_PROGRAMS, paths_of
from chains.models import Run

# What a stranger may see. All other addresses refuse: a new one has to be written down on one side.
PUBLIC = {
    "healthz",
    "readyz",
    "openapi.json",
    "docs/",
    "account/sign-in/",
    "account/sign-out/",
    "admin/login/",
    "admin/logout/",
    "admin/jsi18n/",
}
REFUSED = {
    "",
    "chains/<ref:ref>/playground/",
    "chains/<ref:ref>/playground/chat/",
    "chains/<ref:ref>/playground/run/",
    "chains/<ref:ref>/playground/runs/",
    "runs/<uuid:run_id>/",
    *(route for door in DOORS.values() if door.dialect == "langserve" for route in paths_of(door.name)),
    *(route for name in SCHEMAS for route in paths_of(name)),
    "chains/<ref:ref>/feedback",
    "api/v1/chains/",
    "api/v1/chains/<slug:slug>/",
    "api/v1/runs/",
    "api/v1/runs/<uuid:run_id>/",
    "metrics",
    "account/",
    "account/keys/<slug:key_id>/revoke/",
}
# Nothing is there, and it says so to anyone.
NOTHING = {FOR_PROGRAMS}
VALUES = {
    "ref": "joke",
    "slug": "joke",
    "key_id": "key_x",
    "config_hash": "N4XyA",
    "run_id": "00000000-0000-0000-0000-000000000000",
}


def routes(patterns=None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        route = prefix + readable(pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern
        else:
            yield from routes(pattern.url_patterns, route)


def readable(pattern) -> str:
    """The route, as path() writes it."""
    text = str(pattern.pattern)
    if text.startswith("^"):
        text = text.removeprefix("^").removesuffix("\\Z").removesuffix("$")
    return text


def in_admin(route: str) -> bool:
    return route.startswith("admin/")


def address(route: str) -> str:
    parts = route.split("/")
    return "/" + "/".join(
        VALUES.get(part.strip("<>").split(":")[-1], "1") if part.startswith("<") else part for part in parts
    )


ROUTES = sorted({route for route, _ in routes()})
# The admin's own catch-all is tried with addresses of its own.
GUARDED = [route for route in ROUTES if route not in PUBLIC | NOTHING and "(" not in route]


def test_each_route_is_known_as_public_or_refused():
    written = {route for route in ROUTES if not in_admin(route)}

    assert written - PUBLIC - REFUSED - NOTHING == set()
    assert REFUSED - written == set()


@pytest.mark.parametrize("route", GUARDED)
def test_a_stranger_is_refused(joke, route):
    answers = [Client().generic(method, address(route)) for method in ("GET", "POST", "PUT", "DELETE")]

    for answer in answers:
        assert answer.status_code in (302, 401, 403, 404, 405), route
        if answer.status_code == 302:
            assert "sign-in" in answer["Location"] or "login" in answer["Location"]
        assert b"joke" not in answer.content.replace(address(route).encode(), b"")
    assert {answer.status_code for answer in answers} != {405}
    assert not Run.objects.exists()


@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_a_stranger_may_see_what_is_public(joke, route):
    answer = Client().get(f"/{route}")

    assert answer.status_code in (200, 302, 405)
    assert "joke" not in answer.text


def test_the_admin_refuses_any_address_to_a_stranger(db):
    for path in ("/admin/", "/admin/nope/", "/admin/chains/chain/1/", "/admin/x"):
        assert Client().get(path).status_code in (302, 404)


# --- Addresses of nonsense ---------------------------------------------------------------------

ODD_REFS = [
    "%00",
    "joke%00",
    "..",
    "%2E%2E",
    "joke%0A",
    "%FF",
    "%ED%A0%80",
    "🔑",
    "joke@%00",
    "joke@..",
    "@",
    ";",
]
ODD_REFS += [
    "joke%20",
    "%20",
    "joke\\",
    "'",
    "{x}",
    "joke@production@1",
    "-joke",
    "_",
    "x" * 10_000,
    "joke@" + "9" * 5000,
]
ODD_PATHS = [f"/chains/{ref}/invoke" for ref in ODD_REFS]
ODD_PATHS += ["/chains/", "/chains/joke", "/chains/joke/", "/chains//invoke", "/chains/joke//invoke"]
ODD_PATHS += [
    "/chains/joke/../joke/invoke",
    "/chains/joke/invoke/",
    "/chains/joke/invoke%00",
    "/chains/joke/INVOKE",
]
ODD_PATHS += [
    "/chains/joke/c/N4XyA/nope",
    "/chains/playground/nope",
    "/api/v1/playground",
    "/chains/%zz/invoke",
]
ODD_PATHS += [
    "/api/v1/runs/%00/",
    "/api/v1/chains/%00/",
    "/api/v1/chains/a%2Fb/",
    "/api/v1/../v1/runs/",
]


@pytest.mark.parametrize("path", ODD_PATHS, ids=lambda path: ascii(path[:40]))
def test_a_path_of_nonsense_is_not_found_as_json(alice_key, path):
    for method in ("GET", "POST"):
        response = Client().generic(method, path, b"{}", headers={"X-API-Key": alice_key})

        assert response.status_code == 404
        assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    "path", ["/nope", "/%00", "/..", "/static/../manage.py", "/static/%2e%2e/manage.py", "/.env", "/x" * 3000]
)
def test_any_other_path_of_nonsense_is_a_page_not_found(db, path):
    assert Client().get(path).status_code == 404


PEOPLES_PATHS = [
    "/chains/%00/playground/",
    "/chains/joke@%00/playground/",
    "/chains/" + "x" * 9999 + "/playground/",
]


@pytest.mark.parametrize("path", PEOPLES_PATHS, ids=lambda path: path[:24])
def test_a_playground_of_nonsense_is_not_found(alice, path):
    client = Client()
    client.force_login(alice)

    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/chains/joke/invoke", "/api/v1/runs/"])
def test_a_host_that_is_not_ours_is_refused_as_json(db, path):
    response = Client().get(path, headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert response.json()["code"] == "bad_request"
    assert "evil" not in response.text
