"""How the tests call the API: in process, or over a socket of their own."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import AsyncClient

JSON = "application/json"
# Given along where whole bodies are compared: problem details repeat it.
SAME_ID = {"X-Request-ID": "the-same"}


class Api:
    """A program with a key, or a stranger without one."""

    def __init__(self, key: str | None):
        self.client = AsyncClient()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def post(self, path: str, body: Any, *, content_type: str = JSON, **headers: str) -> Any:
        """``body`` is sent as JSON, unless it is bytes already."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.generic(
            "POST", path, data, content_type=content_type, headers=self.headers | headers
        )

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Any:
        return await self.client.generic(method, path, headers=self.headers | headers)


@pytest.fixture
def api(shared_db, alice_key) -> Api:
    return Api(alice_key)


@pytest.fixture
def bobs_api(shared_db, bob_key) -> Api:
    return Api(bob_key)


@pytest.fixture
def anonymous(shared_db) -> Api:
    return Api(None)


async def sent(response: Any) -> bytes:
    """The whole of a streamed body."""
    return b"".join([part async for part in response.streaming_content])


def frames(data: bytes) -> list[tuple[str, str]]:
    """Server-sent events as (event, data), comments left out; fails on any other framing."""
    assert data.endswith(b"\r\n\r\n")
    result = []
    for block in data.decode().removesuffix("\r\n\r\n").split("\r\n\r\n"):
        if block.startswith(":"):
            continue
        event, *rest = block.split("\r\n")
        assert event.startswith("event: ")
        assert len(rest) <= 1
        assert all(line.startswith("data: ") for line in rest)
        result.append((event.removeprefix("event: "), "".join(rest).removeprefix("data: ")))
    return result


def is_error(response: Any, status: int, code: str) -> bool:
    """Whether it is a run endpoint's error, in the form that both of LangServe's clients read."""
    assert response.headers["Content-Type"] == JSON
    body = response.json()
    assert set(body) - {"run_id"} == {"detail", "message", "code"}
    assert body.get("run_id") == response.headers.get("X-ChainHub-Run-ID")
    assert isinstance(body["message"], str)
    assert body["detail"]
    return (response.status_code, body["code"]) == (status, code)


def fields_at_fault(response: Any) -> list[list[str | int]]:
    return [fault["loc"] for fault in response.json()["detail"]]


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}
