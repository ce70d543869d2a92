"""The channel layer of the settings: in memory, or Redis where REDIS_URL says so."""

import asyncio
import os

import pytest
from channels.layers import get_channel_layer


@pytest.fixture
async def layer():
    layer = get_channel_layer()
    yield layer
    await layer.flush()


def test_it_is_redis_exactly_where_the_environment_says_so():
    is_redis = type(get_channel_layer()).__name__ == "RedisChannelLayer"

    assert is_redis == bool(os.environ.get("REDIS_URL"))


async def test_a_message_to_a_group_reaches_its_member(layer):
    channel = await layer.new_channel()
    await layer.group_add("people", channel)

    await layer.group_send("people", {"type": "hello"})

    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "hello"}


async def test_a_member_may_wait_longer_than_a_connection_to_redis_does_by_default(layer):
    channel = await layer.new_channel()
    waiting = asyncio.ensure_future(layer.receive(channel))
    # redis-py gives up reading after five seconds unless it is told otherwise.
    await asyncio.sleep(5.5)

    await layer.send(channel, {"type": "late"})

    assert await asyncio.wait_for(waiting, 5) == {"type": "late"}
