"""What every answer carries, and paths that two servers would read in two ways."""

import re

import pytest
from django.test import AsyncClient, Client

RANDOM_ID = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize("path", ["/healthz", "/chains/joke/invoke", "/api/v1/runs/", "/nope", "/docs/"])
def test_every_answer_has_an_id_and_a_content_security_policy(db, path):
    response = Client().get(path)

    assert RANDOM_ID.fullmatch(response.headers["X-Request-ID"])
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_each_request_has_its_own_id():
    ids = {Client().get("/healthz").headers["X-Request-ID"] for _ in range(5)}

    assert len(ids) == 5


@pytest.mark.parametrize("given", ["abc", "A-1", "0", "x" * 64, "123e4567-e89b-12d3-a456-426614174000"])
def test_a_callers_id_is_kept(given):
    assert Client().get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    ["", "x" * 65, "a b", "a\nb", "a\r\nSet-Cookie: x=1", "a\n", "é", "\x85", "<script>", "a,b", "a_b", "\0"],
)
def test_an_id_that_could_harm_a_log_is_replaced(given):
    response = Client().get("/healthz", headers={"X-Request-ID": given})

    assert RANDOM_ID.fullmatch(response.headers["X-Request-ID"])


async def test_a_stream_carries_them_too(shared_db, joke, alice_key):
    response = await AsyncClient().post(
        "/chains/joke/stream",
        {"input": {"topic": "x"}},
        content_type="application/json",
        headers={"X-API-Key": alice_key, "X-Request-ID": "abc"},
    )
    async for _ in response.streaming_content:
        pass

    assert response.headers["X-Request-ID"] == "abc"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
