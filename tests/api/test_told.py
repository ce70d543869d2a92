"""What a provider said of a failure is told on no door for programs, not even to editors."""

import pytest
from asgiref.sync import sync_to_async

from accounts.keys import issue_key
from chains.models import Chain, Run
from tests.api.conftest import Api, sent
from tests.upstream import fails

SAID = "Unsupported value of MARZIPAN"


@pytest.fixture(params=["alice", "staff"])
async def key(request, shared_db) -> str:
    user = await sync_to_async(request.getfixturevalue)(request.param)
    issued = await sync_to_async(issue_key)(user=user, name="told", expires_at=None)
    return issued.secret


@pytest.fixture
def refusing(poem, upstream) -> None:
    Chain.objects.update(expose_steps=True)
    upstream.script(*[fails(400, SAID, "unsupported_value")] * 9)


DOORS = [
    ("invoke", {"input": {"topic": "x"}}),
    ("batch", {"inputs": [{"topic": "x"}]}),
    ("batch?partial=true", {"inputs": [{"topic": "x"}]}),
    ("stream", {"input": {"topic": "x"}}),
    ("stream_events", {"input": {"topic": "x"}}),
    ("stream_log", {"input": {"topic": "x"}}),
]


@pytest.mark.parametrize(("door", "body"), DOORS)
async def test_no_door_tells_a_providers_words(refusing, key, door, body):
    api = Api(key)

    response = await api.post(f"/chains/poem/{door}", body)

    told = await sent(response) if response.streaming else response.content
    run = await Run.objects.aget()
    assert run.calls[0]["tries"][0]["detail"]["message"] == SAID
    assert b"provider_refused" in told
    listed = await api.get("/api/v1/runs/")
    alone = await api.get(f"/api/v1/runs/{run.id}/")
    assert alone.status_code == listed.status_code == 200
    for said in (told, str(response.headers).encode(), listed.content, alone.content):
        assert b"MARZIPAN" not in said
