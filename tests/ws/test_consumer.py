"""The consumer's own limits, whatever server is below."""

import json

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings

from chainhub.asgi import application
from tests.ws.conftest import session_cookie

PATH = "/ws/chains/joke/"


def communicator(cookie: str, *origins: str, path: str = PATH) -> WebsocketCommunicator:
    headers = [(b"origin", origin.encode()) for origin in origins]
    return WebsocketCommunicator(application, path, [*headers, (b"cookie", cookie.encode())])


async def is_let_in(socket: WebsocketCommunicator) -> bool:
    connected, _ = await socket.connect()
    await socket.disconnect()
    return connected


@pytest.fixture
async def cookie(shared_db, alice) -> str:
    return await sync_to_async(session_cookie)(alice)


@pytest.mark.parametrize("extra", [0, 1])
async def test_a_frame_over_the_limit_closes_the_socket_with_a_code_of_its_own(cookie, extra):
    socket = communicator(cookie, settings.ALLOWED_ORIGINS[0])
    await socket.connect()
    frame = json.dumps({"type": "ping"}).ljust(settings.WEBSOCKET_MAX_FRAME_BYTES + extra)

    await socket.send_to(text_data=frame)
    answer = await socket.receive_output()

    expected = [
        {"type": "websocket.send", "text": '{"type": "pong"}'},
        {"type": "websocket.close", "code": 4413},
    ]
    assert answer.items() >= expected[extra].items()
    await socket.disconnect()


async def test_bytes_count_and_not_characters(cookie):
    socket = communicator(cookie, settings.ALLOWED_ORIGINS[0])
    await socket.connect()

    await socket.send_to(text_data="猫" * (settings.WEBSOCKET_MAX_FRAME_BYTES // 2))

    assert (await socket.receive_output())["code"] == 4413
    await socket.disconnect()


async def test_every_origin_of_the_settings_may_open_a_socket(cookie):
    for origin in [*settings.ALLOWED_ORIGINS, settings.ALLOWED_ORIGINS[0].upper()]:
        assert await is_let_in(communicator(cookie, origin))


async def test_two_origins_are_refused_even_where_one_is_ours(cookie):
    own = settings.ALLOWED_ORIGINS[0]
    for origins in ((own, own), (own, "https://evil.example"), ("https://evil.example", own)):
        assert not await is_let_in(communicator(cookie, *origins))


@pytest.mark.parametrize("path", ["/", "", "/ws/chains/joke", "/ws/chains//", "/other"])
async def test_there_is_no_socket_at_any_other_path(cookie, path):
    assert not await is_let_in(communicator(cookie, settings.ALLOWED_ORIGINS[0], path=path))
