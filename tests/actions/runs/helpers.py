"""A run, and what the tests ask of it and of its record."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from asgiref.sync import sync_to_async

from accounts.callers import Caller
from chains.actions.runs.call import RunCall
from chains.doors import DOORS
from chains.models import Run

BOTH = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


def call(
    caller: Caller, slug: str = "poem", value: object = None, *, streaming: bool = True, **data
) -> RunCall:
    value = {"topic": "cats"} if value is None else value
    door = DOORS["stream" if streaming else "invoke"]
    return RunCall(**{"slug": slug, "caller": caller, "input": value, "door": door} | data)


async def the_run() -> Run:
    return await Run.objects.aget()


async def events_of(stream) -> list:
    return [event async for event in stream]


async def statuses() -> list[str]:
    return sorted([run.status async for run in Run.objects.all()])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds."""
    for _ in range(500):
        if await holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("It never held.")


async def eventually(holds: Callable[[list[str]], bool]) -> None:
    """Return once it holds of the runs' statuses."""
    for _ in range(500):
        if holds(now := await statuses()):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"The runs ended as {now}.")


async def add(function, *args, **data):
    return await sync_to_async(function)(*args, **data)
