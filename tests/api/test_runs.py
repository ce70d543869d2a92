"""GET /api/v1/runs/: one's own runs, and nobody else's."""

import uuid
from urllib.parse import quote

import pytest
from django.test import Client

from chains.models import Run
from tests.api.test_chains import NONSENSE_CURSORS, cursor

RUNS = "/api/v1/runs/"


def add_run(user, chain="joke", **data) -> Run:
    fields = {"chain_version_number": 1, "plan_digest": "0" * 64, "source": "rest", "status": "succeeded"}
    fields |= {"input": {"topic": "x"}, "worker": "tests", "chain_slug": chain, "user": user}
    return Run.objects.create(**fields | data)


@pytest.fixture
def as_alice(alice_key):
    return Client(headers={"Authorization": f"Bearer {alice_key}"})


@pytest.fixture
def as_bob(bob_key):
    return Client(headers={"Authorization": f"Bearer {bob_key}"})


def ids(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def test_a_run_tells_everything_about_itself(as_alice, alice):
    run = add_run(alice, output={"a": [1]}, prompt_versions={"joke": 3}, cost_usd="0.0000123")

    row = as_alice.get(f"{RUNS}{run.id}/").json()

    expected = {"id": str(run.id), "chain": "joke", "version": 1, "prompt_versions": {"joke": 3}, "key": None}
    expected |= {"source": "rest", "status": "succeeded", "input": {"topic": "x"}, "output": {"a": [1]}}
    assert row.items() >= expected.items()
    assert float(row["cost_usd"]) == 0.0000123
    assert not {"user", "worker", "seen_at"} & set(row)


def test_a_list_holds_only_ones_own_runs(as_alice, as_bob, alice, bob):
    mine, _other = add_run(alice), add_run(bob)

    assert ids(as_alice.get(RUNS)) == [str(mine.id)]
    assert str(mine.id) not in ids(as_bob.get(RUNS))


def test_operators_too_list_only_their_own_here(root, alice):
    add_run(alice)
    client = Client()
    client.force_login(root)

    assert ids(client.get(RUNS)) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_anothers_run_is_a_run_that_does_not_exist(as_bob, alice, method):
    run, headers = add_run(alice), {"X-Request-ID": "the-same"}

    foreign = as_bob.generic(method, f"{RUNS}{run.id}/", headers=headers)
    unknown = as_bob.generic(method, f"{RUNS}{(random := uuid.uuid4())}/", headers=headers)

    assert foreign.status_code == unknown.status_code == (404 if method in ("GET", "HEAD") else 405)
    assert foreign.content.replace(str(run.id).encode(), b"") == unknown.content.replace(
        str(random).encode(), b""
    )
    assert Run.objects.filter(pk=run.pk).exists()


@pytest.mark.parametrize("bad", ["1", "x" * 5000, "%00", "../runs", "0" * 32, "None", "0000%2F0000"])
def test_an_id_that_is_none_is_not_found(as_alice, bad):
    assert as_alice.get(f"{RUNS}{bad}/").status_code == 404


# --- Filters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 4),
        ("chain=joke", 3),
        ("status=failed", 1),
        ("source=ws", 1),
        ("chain=joke&status=failed", 1),
        ("chain=poem&status=failed", 0),
        ("unknown=1", 4),
    ],
)
def test_runs_are_filtered(as_alice, alice, query, found):
    add_run(alice)
    add_run(alice, status="failed")
    add_run(alice, source="ws")
    add_run(alice, chain="poem")

    assert len(ids(as_alice.get(f"{RUNS}?{query}"))) == found


NONSENSE = ["", "%00", "a%00b", "x" * 5000, "%ED%A0%80", "%FF", "nope", "[]", "1e400", "' OR 1=1 --"]
NONSENSE += ["🔑", "%F0%9F%94%91", "running&status=%00", "%E2%80%A8"]


@pytest.mark.parametrize("name", ["chain", "status", "source"])
@pytest.mark.parametrize("value", NONSENSE, ids=lambda text: ascii(text[:12]))
def test_a_filter_of_nonsense_finds_nothing(as_alice, alice, name, value):
    add_run(alice)

    assert ids(as_alice.get(f"{RUNS}?{name}={quote(value, safe='%&=')}")) == []


@pytest.mark.parametrize("query", ["chain__user=1", "user=1", "chain_slug__regex=.*", "user__password=x"])
def test_no_other_column_can_be_asked_for(as_alice, alice, query):
    run = add_run(alice)

    assert ids(as_alice.get(f"{RUNS}?{query}")) == [str(run.id)]


# --- Pages -------------------------------------------------------------------------------------


def test_pages_follow_one_another_newest_first_without_gap(as_alice, alice):
    runs = [add_run(alice) for _ in range(51)]

    first = as_alice.get(RUNS)
    second = as_alice.get(first.json()["next"])

    assert ids(first) + ids(second) == [str(run.id) for run in reversed(runs)]
    assert ids(as_alice.get(second.json()["previous"])) == ids(first)


def test_runs_of_the_same_moment_are_all_listed(as_alice, alice):
    runs = [add_run(alice) for _ in range(52)]
    Run.objects.update(created_at=runs[0].created_at)

    first = as_alice.get(RUNS)
    second = as_alice.get(first.json()["next"])

    assert sorted(ids(first) + ids(second)) == sorted(str(run.id) for run in runs)


@pytest.mark.parametrize(
    "nonsense",
    [*NONSENSE_CURSORS, cursor("p=2026-99-99"), cursor("p=2026-01-01")],
    ids=lambda text: text[:20],
)
def test_a_cursor_of_nonsense_is_never_an_internal_error(as_alice, alice, nonsense):
    add_run(alice)

    response = as_alice.get(f"{RUNS}?cursor={nonsense}")

    assert response.status_code in (200, 404)


def test_a_foreign_cursor_shows_nothing_foreign(as_alice, as_bob, alice, bob):
    for _ in range(51):
        add_run(alice)
    mine = add_run(bob)

    following = as_alice.get(RUNS).json()["next"]

    assert set(ids(as_bob.get(following))) <= {str(mine.id)}
