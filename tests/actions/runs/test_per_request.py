"""The say that a chain's own code has about each request."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from langchain_core.runnables import RunnableConfig, RunnableLambda

from accounts.callers import Caller
from accounts.keys import issue_key
from accounts.models import ApiKey
from chains.actions.runs import run_batch, run_chain, start_run
from chains.actions.runs.call import RunCall
from chains.doors import DOORS
from chains.models import Run
from chains.runtime import errors
from chains.runtime.events import Finished
from chains.runtime.registry import RequestInfo, register

pytestmark = pytest.mark.usefixtures("shared_db", "registry")

SECRETS = {
    "authorization": "Bearer chk_CANARY",
    "x-api-key": "chk_CANARY",
    "cookie": "sessionid=CANARY",
    "proxy-authorization": "CANARY",
    "x-csrftoken": "CANARY",
}


def say_who(value: str, config: RunnableConfig) -> str:
    return str(config.get("configurable", {}).get("who", "nobody"))


async def with_who(config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
    await asyncio.sleep(0)
    return {**config, "configurable": {**config.get("configurable", {}), "who": f"CANARY-{info.username}"}}


def with_who_at_once(config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
    return {**config, "configurable": {"who": f"CANARY-{info.username}"}}


def call(caller: Caller, door: str = "invoke", **data: Any) -> RunCall:
    return RunCall(**{"slug": "who", "caller": caller, "input": "x", "door": DOORS[door]} | data)


@pytest.mark.parametrize("per_request", [with_who, with_who_at_once], ids=["async", "sync"])
@pytest.mark.parametrize("door", ["invoke", "stream", "playground", "stream_events", "stream_log"])
async def test_what_it_returns_is_used_in_every_way_in_and_never_recorded(as_alice, per_request, door):
    register("who", RunnableLambda(say_who), per_request=per_request, expose_steps=True)

    stream = await start_run(call(as_alice, door))
    (finished,) = [event async for event in stream if isinstance(event, Finished)]

    run = await Run.objects.aget()
    assert finished.output == "CANARY-alice"
    assert "CANARY" not in str([run.config, run.input, run.calls, run.plan_digest])


async def test_it_hears_who_asks_for_what_and_no_credentials(alice):
    await sync_to_async(issue_key)(user=alice, name="tests", expires_at=None)
    key = await ApiKey.objects.aget()
    heard: list[RequestInfo] = []

    def listen(config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
        heard.append(info)
        return config

    register("who", RunnableLambda(say_who), per_request=listen)

    await run_chain(call(Caller(user=alice, key=key), headers={"x-tenant": "t1", **SECRETS}))

    assert heard == [
        RequestInfo(
            username="alice",
            user_id=alice.pk,
            key_id=key.pk,
            chain="who",
            endpoint="invoke",
            headers={"x-tenant": "t1"},
        )
    ]


async def test_it_sees_the_clients_config_as_it_was_allowed(as_alice):
    heard: list[RunnableConfig] = []

    def listen(config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
        heard.append(config)
        return config

    register("who", RunnableLambda(say_who), per_request=listen, config_keys=["tags"])

    await run_chain(call(as_alice, config={"tags": ["a"], "metadata": {"b": 1}, "configurable": {"who": 1}}))

    assert heard == [{"tags": ["a"], "metadata": {}, "configurable": {}}]


def broken(config: RunnableConfig, info: RequestInfo) -> Any:
    raise LookupError("CANARY")


async def later_broken(config: RunnableConfig, info: RequestInfo) -> Any:
    raise LookupError("CANARY")


def nothing(config: RunnableConfig, info: RequestInfo) -> Any:
    return None


@pytest.mark.parametrize("per_request", [broken, later_broken, nothing])
@pytest.mark.parametrize("door", ["invoke", "stream", "playground"])
async def test_where_it_fails_nothing_runs_and_nothing_is_recorded(as_alice, per_request, door):
    register("who", RunnableLambda(say_who), per_request=per_request)

    with pytest.raises(errors.ChainHubError) as refused:
        await start_run(call(as_alice, door))

    assert (type(refused.value), str(refused.value)) == (errors.ChainHubError, "Internal server error.")
    assert not await Run.objects.aexists()


async def test_it_may_refuse_a_request_with_an_error_of_ours(as_alice):
    def refuse(config: RunnableConfig, info: RequestInfo) -> Any:
        raise errors.InvalidInput("Not on Sundays.")

    register("who", RunnableLambda(say_who), per_request=refuse)

    with pytest.raises(errors.InvalidInput, match="Not on Sundays"):
        await run_chain(call(as_alice))

    assert not await Run.objects.aexists()


async def test_it_may_take_no_longer_than_a_run(as_alice):
    async def forever(config: RunnableConfig, info: RequestInfo) -> Any:
        await asyncio.sleep(30)

    register("who", RunnableLambda(say_who), per_request=forever, timeout_s=0.05)

    with pytest.raises(errors.ChainHubError):
        await asyncio.wait_for(run_chain(call(as_alice)), 2)


async def test_it_is_asked_for_each_of_a_batch(as_alice):
    asked = []

    def count(config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
        asked.append(info.endpoint)
        return {**config, "configurable": {"who": len(asked)}}

    register("who", RunnableLambda(say_who), per_request=count)
    one = call(as_alice, "batch")

    results = await run_batch(one, [one, one])

    assert asked == ["batch", "batch"]
    assert sorted(result.output for result in results) == ["1", "2"]


async def test_a_run_cannot_be_renamed_by_it(as_alice):
    def rename(config: RunnableConfig, info: RequestInfo) -> RunnableConfig:
        return {**config, "run_name": "other", "run_id": None}

    register("who", RunnableLambda(say_who), per_request=rename, expose_steps=True)

    stream = await start_run(call(as_alice, "stream_events"))
    names = {
        event.value["name"] async for event in stream if hasattr(event, "value") and "name" in event.value
    }

    assert names == {"/who"}
