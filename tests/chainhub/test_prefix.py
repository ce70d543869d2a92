"""A server that a proxy mounts under a path: with the prefix in its requests, and without it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from websockets.sync.client import connect

from chainhub.prefix import mounted, path_in
from tests.chainhub.test_urls import ROUTES
from tests.conftest import ROOT, Server, start_server, stop_server
from tests.ws.conftest import session_cookie

PREFIX = "/hub"
ORIGIN = "https://pages.example"
TOPIC = json.dumps({"input": {"topic": "cats"}})


@pytest.fixture(scope="module")
def mounted_server(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("mounted") / "log"
    server = start_server(log, PATH_PREFIX="hub/", ALLOWED_ORIGINS=ORIGIN)
    yield server
    stop_server(server)


@pytest.fixture(params=[PREFIX, ""], ids=["keeps", "strips"])
def ask(request, mounted_server, transactional_db):
    """Ask as a proxy would that keeps the prefix, and as one that strips it."""

    def ask(method: str, path: str, body: str | None = None, **headers: str):
        connection = http.client.HTTPConnection(mounted_server.url.removeprefix("http://"), timeout=20)
        connection.request(method, request.param + path, body, headers)
        response = connection.getresponse()
        response.content = response.read()
        return response

    return ask


def test_a_call_with_a_key_takes_either_way(ask, joke, alice_key):
    short = ask("POST", "/chains/joke/invoke", TOPIC, Authorization=f"Bearer {alice_key}")
    long = ask("POST", "/chains/joke/invoke", TOPIC, Authorization=f"Bearer {alice_key}", Origin=ORIGIN)

    assert [json.loads(answer.content)["output"] for answer in (short, long)] == ["cats", "cats"]
    # Only the long way adds it.
    assert [answer.headers["Vary"] for answer in (short, long)] == [None, "origin"]


def test_an_error_has_the_dialect_of_its_address(ask, joke, alice_key):
    run = ask("POST", "/chains/nope/invoke", TOPIC, Authorization=f"Bearer {alice_key}")
    resource = ask("GET", "/api/v1/runs/x/", Authorization=f"Bearer {alice_key}")
    page = ask("GET", "/nope")

    assert set(json.loads(run.content)) == {"detail", "message", "code"}
    assert json.loads(resource.content)["instance"] == "/hub/api/v1/runs/x/"
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_a_page_of_another_origin_is_recognised(ask):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}

    assert ask("OPTIONS", "/chains/joke/invoke", **asked).headers["Access-Control-Allow-Origin"] == ORIGIN
    assert ask("OPTIONS", "/account/", **asked).headers["Access-Control-Allow-Origin"] is None


def test_redirects_lead_below_the_prefix(ask):
    for path in ("/", "/account/"):
        assert ask("GET", path).headers["Location"] == f"/hub/account/sign-in/?next=/hub{path}"
    assert ask("GET", "/admin/").headers["Location"] == "/hub/admin/login/?next=/hub/admin/"


def test_pages_name_their_files_below_the_prefix_and_find_them(ask):
    page = ask("GET", "/account/sign-in/")

    assert b'href="/hub/static/base.css"' in page.content
    assert page.headers["Set-Cookie"].startswith("csrftoken_hub=")
    assert "Path=/hub;" in page.headers["Set-Cookie"]
    assert ask("GET", "/static/base.css").status == 200


def test_the_document_of_the_api_names_the_prefix_once(ask):
    document = json.loads(ask("GET", "/openapi.json").content)

    assert document["servers"] == [{"url": PREFIX}]
    assert "/api/v1/runs/" in document["paths"]


def test_pages_of_lists_lead_below_the_prefix(ask, joke, alice, alice_key):
    for _ in range(51):
        ask("POST", "/chains/joke/invoke", TOPIC, Authorization=f"Bearer {alice_key}")

    listed = json.loads(ask("GET", "/api/v1/runs/", Authorization=f"Bearer {alice_key}").content)

    assert "/hub/api/v1/runs/?cursor=" in listed["next"]


def test_monitors_need_no_prefix(ask):
    assert [ask("GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_a_path_that_only_begins_alike_is_not_below_the_prefix(ask):
    assert ask("GET", "/hubble").status == 404


def test_a_header_of_a_client_mounts_nothing(ask):
    """Daphne takes the path of a mounted application from this header, whoever sends it."""
    for root in ("/evil", "/account"):
        answer = ask("GET", "/account/", **{"Daphne-Root-Path": root})
        assert answer.headers["Location"] == "/hub/account/sign-in/?next=/hub/account/"


@pytest.mark.parametrize("root", ["/evil", "/account", "%ff", "\xff", ""])
def test_without_a_prefix_neither_does_it(server, root):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/account/", headers={"Daphne-Root-Path": root})

    assert connection.getresponse().headers["Location"] == "/account/sign-in/?next=/account/"


@pytest.mark.parametrize("root", ["/evil", "%ff"])
def test_neither_does_it_for_a_socket(server, joke, alice, root):
    with connect(
        f"{server.websocket_url}/ws/chains/joke/",
        origin=server.url,
        additional_headers={"Cookie": session_cookie(alice), "Daphne-Root-Path": root},
        legacy=True,
    ) as client:
        client.send('{"type": "ping"}')
        assert "pong" in client.recv(timeout=5)


# --- The address in a scope --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/hub/chains/", "/chains/"),
        ("/chains/", "/chains/"),
        ("/hub", "/"),
        ("/hub/", "/"),
        ("/", "/"),
        ("/hubble", "/hubble"),
        ("/hub/hub/x", "/hub/x"),
    ],
)
@pytest.mark.parametrize("root_path", [None, "", "/hub", "/evil"])
async def test_each_address_is_below_the_prefix(settings, path, inside, root_path):
    settings.PATH_PREFIX = PREFIX
    seen = []

    async def application(scope, receive, send):
        seen.append(scope)

    given = {} if root_path is None else {"root_path": root_path}
    await mounted(application)({"path": path, "raw_path": path.encode(), **given}, None, None)

    (scope,) = seen
    assert (scope["path"], scope["root_path"]) == (PREFIX + inside, PREFIX)
    assert scope["raw_path"] == scope["path"].encode()
    assert path_in(scope) == inside


# --- The setting -------------------------------------------------------------------------------


def test_no_address_of_ours_may_be_taken_for_a_prefix():
    ours = {route.split("/")[0] for route in ROUTES} - {""}
    first_parts = {part for part in ours if part.isidentifier() or "." in part}

    assert first_parts <= settings.FIRST_PARTS
    assert {settings.STATIC_URL.strip("/"), "ws", "chains", "api"} <= settings.FIRST_PARTS


@pytest.mark.parametrize(
    "prefix", ["/chains", "api/v2", "/admin", "/a b", "/x/../y", "https://x", "/hüb", "/x?y"]
)
def test_a_prefix_that_cannot_work_is_refused_at_the_start(tmp_path, prefix):
    refused = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "DEBUG": "on", "VAR_DIR": str(tmp_path), "PATH_PREFIX": prefix},
        capture_output=True,
        text=True,
    )

    assert refused.returncode != 0
    assert "ImproperlyConfigured: PATH_PREFIX" in refused.stderr
