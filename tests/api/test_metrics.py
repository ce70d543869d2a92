"""GET /metrics: what operators watch, in Prometheus' formats."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import AsyncClient
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parsed

from chains.actions.metrics import watch_loop
from chains.models import Run
from tests.api.conftest import Api, sent
from tests.conftest import wait_until
from tests.upstream import answers, fails, held

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
TOPIC = {"input": {"topic": "cats"}}


def figures(text: str, parse: Callable[..., Any] = parsed) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@pytest.fixture
def operator(shared_db, root_key) -> Api:
    return Api(root_key)


@pytest.fixture
async def grown(operator):
    """How much a figure has grown since the test began, as other tests count too."""

    async def now() -> Figures:
        return figures((await operator.get("/metrics")).content.decode())

    before = await now()

    async def grown(name: str, **labels: str) -> float:
        key = (f"chainhub_{name}", frozenset(labels.items()))
        return (await now()).get(key, 0) - before.get(key, 0)

    return grown


async def test_runs_tokens_and_times_are_counted_by_chain(api, grown, poem, upstream):
    upstream.script(
        answers("one two three", chunk_delay_s=0.06), answers("four"), fails(500), fails(500), fails(500)
    )
    await sent(await api.post("/chains/poem/stream", TOPIC))
    answer = (await api.post("/chains/poem/invoke", TOPIC)).json()
    assert (await api.post("/chains/poem/invoke", TOPIC)).status_code == 502

    assert await grown("runs_total", chain="poem", source="sse", status="succeeded") == 1
    assert await grown("runs_total", chain="poem", source="rest", status="succeeded") == 1
    assert await grown("runs_total", chain="poem", source="rest", status="failed") == 1
    asked = sum(request.body["messages"][0]["content"].count(" ") + 1 for request in upstream.requests[:2])
    assert await grown("tokens_total", chain="poem", direction="input") == asked
    assert await grown("tokens_total", chain="poem", direction="output") == 3 + 1
    assert await grown("run_seconds_count", chain="poem") == 3
    assert 0.12 < await grown("run_seconds_sum", chain="poem") < 10
    # Only what streams has a first token.
    assert await grown("first_token_seconds_count", chain="poem") == 1
    assert answer["output"] == "four"


async def test_cost_is_counted_in_dollars(api, grown, joke, demo):
    await demo.prices.acreate(model="demo-echo", input_usd=1, output_usd=2)
    answer = await api.post("/chains/joke/invoke", TOPIC)

    run = await Run.objects.aget(pk=answer.headers["X-ChainHub-Run-ID"])
    assert run.cost_usd
    assert await grown("cost_usd_total", chain="joke") == pytest.approx(float(run.cost_usd))


async def test_open_streams_are_those_under_way(api, grown, poem, upstream):
    released = threading.Event()
    upstream.script(*[held("one two", until=released)] * 3)
    streams = [await api.post("/chains/poem/stream", TOPIC) for _ in range(2)]
    invoking = asyncio.create_task(api.post("/chains/poem/invoke", TOPIC))
    await asyncio.to_thread(wait_until, lambda: len(upstream.requests) == 3)

    assert await grown("open_streams", source="sse") == 2

    released.set()
    for stream in streams:
        assert b"event: end" in await sent(stream)
    await invoking
    assert await grown("open_streams", source="sse") == 0


async def test_a_loop_that_is_held_up_shows(grown):
    watch_loop()
    for _ in range(3):
        # As code does that forgets to wait.
        await asyncio.sleep(0.2)
        time.sleep(0.3)  # noqa: ASYNC251 the very fault
    await asyncio.sleep(0.3)

    total, quick = "event_loop_lag_seconds_count", "event_loop_lag_seconds_bucket"
    assert await grown(total) - await grown(quick, le="0.1") >= 2


async def test_openmetrics_is_spoken_where_it_is_asked_for(api, operator, joke):
    await api.post("/chains/joke/invoke", TOPIC)

    plain = await operator.get("/metrics")
    asked = await operator.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert asked.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    spoken = figures(asked.content.decode(), openmetrics_parser.text_string_to_metric_families)
    assert ("chainhub_runs_total") in {name for name, _ in spoken}
    assert not any(name.endswith("_created") for name, _ in spoken)


@pytest.mark.parametrize(
    "accept", ["text/plain; version=abc", "application/openmetrics-text; version=1.x", "%"]
)
async def test_a_format_that_nobody_knows_is_the_usual_one(operator, accept):
    response = await operator.get("/metrics", Accept=accept)

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")


async def test_only_those_who_may_read_all_runs_may_read_them(api, anonymous, alice, operator):
    stranger, caller = await anonymous.get("/metrics"), await api.get("/metrics")

    assert (stranger.status_code, caller.status_code) == (401, 403)
    for response in (stranger, caller):
        assert b"chainhub_" not in response.content
        assert response.json()["message"]
    await alice.user_permissions.aadd(await Permission.objects.aget(codename="view_run"))
    assert (await api.get("/metrics")).status_code == 200
    assert (await api.get("/metrics", method="HEAD")).status_code == 200
    assert (await api.post("/metrics", {})).status_code == 405


async def test_an_operator_who_is_signed_in_may_read_them(shared_db, root):
    browser = AsyncClient()
    await browser.aforce_login(root)

    assert b"chainhub_runs_total" in (await browser.get("/metrics")).content
