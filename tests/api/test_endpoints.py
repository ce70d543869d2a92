"""What each chain offers: methods, and endpoints that an operator switches off."""

import uuid

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from chainhub.asgi import application
from chains.doors import switches
from chains.models import Chain, Run
from tests.api.conftest import is_error

CATS = {"topic": "cats"}
POSTS = ["invoke", "batch", "stream", "stream_events", "stream_log"]
GETS = ["input_schema", "output_schema", "config_schema"]
BODY = {"input": CATS, "inputs": [CATS], "run_id": str(uuid.uuid4()), "key": "thumbs"}


async def ask(api, endpoint: str, at: str = "/chains/joke"):
    return await (api.get(f"{at}/{endpoint}") if endpoint in GETS else api.post(f"{at}/{endpoint}", BODY))


# --- Methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_under_a_config_too_what_is_posted_is_only_posted(api, joke, method):
    for endpoint in POSTS:
        response = await api.get(f"/chains/joke/c/N4XyA/{endpoint}", method=method)

        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        assert method == "HEAD" or is_error(response, 405, "method_not_allowed")


async def test_feedback_is_asked_for_and_given(api, joke):
    response = await api.get("/chains/joke/feedback")

    assert (response.status_code, response.headers["Allow"]) == (405, "HEAD, POST")


# --- Switches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [*POSTS, *GETS, "feedback"])
async def test_an_endpoint_that_is_switched_off_is_not_found_and_the_others_are_there(api, joke, endpoint):
    await Chain.objects.aupdate(disabled_endpoints=[endpoint], expose_steps=True)

    off = [await ask(api, endpoint)]
    if endpoint != "feedback":
        off.append(await ask(api, endpoint, at="/chains/joke/c/N4XyA"))
    other = await ask(api, "invoke" if endpoint != "invoke" else "batch")

    assert [is_error(response, 404, "not_found") for response in off] == [True] * len(off)
    assert off[0].json()["detail"] == "Not found."
    assert other.status_code == 200


async def test_all_but_the_playground_can_be_switched_off(api, joke):
    await Chain.objects.aupdate(disabled_endpoints=[name for name in switches() if name != "playground"])

    statuses = [(await ask(api, name)).status_code for name in (*POSTS, *GETS, "feedback")]

    assert statuses == [404] * 9
    assert not await Run.objects.aexists()


async def socket_says(user, frame: dict) -> dict:
    client = Client()
    await sync_to_async(client.force_login)(user)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    headers = [(b"origin", settings.ALLOWED_ORIGINS[0].encode()), (b"cookie", cookie.encode())]
    communicator = WebsocketCommunicator(application, "/ws/chains/joke/", headers)
    await communicator.connect(timeout=5)
    await communicator.send_json_to(frame)
    said = await communicator.receive_json_from(timeout=5)
    await communicator.disconnect()
    return said


async def test_without_its_playground_a_chain_answers_no_socket(api, alice, joke):
    await Chain.objects.aupdate(disabled_endpoints=["playground"])

    said = await socket_says(alice, {"type": "start", "input": CATS})

    assert said == {"type": "error", "code": "not_found", "message": "Not found."}
    assert (await ask(api, "invoke")).status_code == 200


async def test_a_playground_needs_no_endpoint_of_the_api(shared_db, alice, joke):
    await Chain.objects.aupdate(disabled_endpoints=["invoke", "stream"])

    said = await socket_says(alice, {"type": "start", "input": CATS})

    assert said["type"] == "started"
