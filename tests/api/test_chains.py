"""GET /api/v1/chains/: the chains one may run."""

import base64
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from chains.models import Chain

CHAINS = "/api/v1/chains/"


@pytest.fixture
def client_of():
    def client_of(key: str) -> Client:
        return Client(headers={"Authorization": f"Bearer {key}"})

    return client_of


@pytest.fixture
def as_alice(client_of, alice_key):
    return client_of(alice_key)


def add(slug: str, **data) -> Chain:
    return Chain.objects.create(slug=slug, **data)


def slugs(response) -> list[str]:
    return [row["slug"] for row in response.json()["results"]]


def cursor(position: str) -> str:
    return quote(base64.b64encode(position.encode()).decode())


POSITIONS = ["p=%00", "p=garbage", "p=%ED%A0%80", "r=1&p=", "o=-1", "o=x", "o=99999999999999999999"]
NONSENSE_CURSORS = ["garbage", "%00", "=", "x" * 5000, *map(cursor, POSITIONS)]


def test_a_chain_tells_what_it_is(as_alice):
    add("joke", name="Joke", description="Tells one.")

    [row] = as_alice.get(CHAINS).json()["results"]

    assert row.items() >= {"slug": "joke", "name": "Joke", "description": "Tells one."}.items()


def test_one_sees_only_what_one_may_run(as_alice, client_of, alice, bob_key):
    team = Group.objects.create(name="team")
    alice.groups.add(team)
    add("for-all")
    add("off", enabled=False)
    add("for-the-team", access=Chain.Access.GROUPS).groups.add(team)
    add("for-nobody", access=Chain.Access.GROUPS)

    assert slugs(as_alice.get(CHAINS)) == ["for-all", "for-the-team"]
    assert slugs(client_of(bob_key).get(CHAINS)) == ["for-all"]


@pytest.mark.parametrize("slug", ["off", "private", "nope"])
def test_a_chain_one_may_not_run_is_not_found(as_alice, slug):
    add("off", enabled=False)
    add("private", access=Chain.Access.GROUPS)

    hidden, unknown = [
        as_alice.get(f"{CHAINS}{name}/", headers={"X-Request-ID": "x"}) for name in (slug, "missing")
    ]

    assert hidden.status_code == 404
    assert hidden.content == unknown.content.replace(b"missing", slug.encode())


def test_a_chain_is_found_by_its_slug(as_alice):
    add("joke")

    assert as_alice.get(f"{CHAINS}joke/").json()["slug"] == "joke"


def test_pages_follow_one_another_without_gap(as_alice):
    Chain.objects.bulk_create(Chain(slug=f"chain-{number:03}") for number in range(101))

    first = as_alice.get(CHAINS)
    second = as_alice.get(first.json()["next"])

    assert slugs(first) + slugs(second) == [f"chain-{number:03}" for number in range(101)]
    assert second.json()["next"] is None


@pytest.mark.parametrize("nonsense", NONSENSE_CURSORS, ids=lambda text: text[:20])
def test_a_cursor_of_nonsense_is_never_an_internal_error(as_alice, nonsense):
    add("joke")

    response = as_alice.get(f"{CHAINS}?cursor={nonsense}")

    assert response.status_code in (200, 404)
    assert response.status_code == 200 or response.json()["code"] == "not_found"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "garbage"])
def test_the_accept_header_is_not_looked_at(as_alice, accept):
    response = as_alice.get(f"{CHAINS}?format=xml", headers={"Accept": accept})

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
