"""Runs of code that misbehaves: their end is told and recorded, and other runs do not notice."""

import asyncio
import threading

import pytest
from langchain_core.runnables import RunnableLambda

from chains.actions.codechains import record_registered
from chains.actions.runs import run_chain, start_run
from chains.runtime.errors import ChainHubError
from chains.runtime.registry import register
from tests.actions.runs.helpers import add, call, events_of, statuses, the_run

pytestmark = pytest.mark.usefixtures("shared_db", "registry")


class Panic(BaseException):
    """As extensions written in Rust raise it."""


async def panics(value):
    raise Panic


async def is_cancelled_from_inside(value):
    task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()
    await task


@pytest.mark.parametrize("function", [panics, is_cancelled_from_inside])
async def test_what_is_no_exception_ends_its_run_as_a_fault_of_the_code(as_alice, function):
    register("faulty", RunnableLambda(function))
    await add(record_registered)

    with pytest.raises(ChainHubError) as caught:
        async with asyncio.timeout(5):
            await run_chain(call(as_alice, "faulty", streaming=False))

    assert caught.value.code == "internal_error"
    assert ((await the_run()).status, (await the_run()).error_code) == ("failed", "internal_error")


async def test_code_that_does_not_come_back_holds_up_no_other_chain(as_alice, joke):
    released = threading.Event()
    register("stuck", RunnableLambda(lambda value: released.wait(30)))
    await add(record_registered)
    try:
        async with asyncio.timeout(10):
            stuck = [await start_run(call(as_alice, "stuck")) for _ in range(40)]

            assert (await run_chain(call(as_alice, "joke"))).output == "cats"

            for stream in stuck:
                stream.cancel()
                await events_of(stream)
            assert set(await statuses()) == {"cancelled", "succeeded"}
    finally:
        released.set()
