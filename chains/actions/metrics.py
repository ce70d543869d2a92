"""Metrics for operators: runs, tokens, cost and times by chain, open streams, and the event loop's lag.

Names and units follow Prometheus: https://prometheus.io/docs/practices/naming/
"""

import asyncio
import logging
import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from chains.models import Run
from concurrency.loops import per_loop

logger = logging.getLogger(__name__)
P = ParamSpec("P")

# Variable of prometheus-client, set for the workers of one server. The metrics of these are added up.
SHARED_DIR = "PROMETHEUS_MULTIPROC_DIR"
LAG_EVERY_S = 0.25

# A time of creation has no meaning where the metrics of several processes are added up.
disable_created_metrics()
_of_this_process = CollectorRegistry()

_RUNS = Counter(
    "chainhub_runs",
    "Runs that have ended; without those that ended with their process.",
    ["chain", "source", "status"],
    registry=_of_this_process,
)
_TOKENS = Counter(
    "chainhub_tokens",
    "Tokens of runs that have ended, as the providers told them; direction is input or output.",
    ["chain", "direction"],
    registry=_of_this_process,
)
_COST = Counter(
    "chainhub_cost_usd",
    "Cost of runs that have ended, where it is known, in US dollars.",
    ["chain"],
    registry=_of_this_process,
)
_FIRST_TOKEN = Histogram(
    "chainhub_first_token_seconds",
    "From the start of a run to its first piece of answer; runs that do not stream have none.",
    ["chain"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=_of_this_process,
)
_LATENCY = Histogram(
    "chainhub_run_seconds",
    "From the start of a run to its end, however it ended.",
    ["chain"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
    registry=_of_this_process,
)
_OPEN_STREAMS = Gauge(
    "chainhub_open_streams",
    "Runs under way whose answer streams.",
    ["source"],
    multiprocess_mode="livesum",
    registry=_of_this_process,
)
_LAG = Histogram(
    "chainhub_event_loop_lag_seconds",
    f"How much later than asked the event loop woke a task; measured every {LAG_EVERY_S} s.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=_of_this_process,
)


def registry() -> CollectorRegistry:
    """The metrics of this process, or of all worker processes of a server that has several."""
    if SHARED_DIR not in os.environ:
        return _of_this_process
    of_all = CollectorRegistry()
    MultiProcessCollector(of_all)
    return of_all


def forget_process(pid: int) -> None:
    """Remove the open streams of a process that has ended; its counted runs stay."""
    mark_process_dead(pid, os.environ[SHARED_DIR])


def _counted(count: Callable[P, None]) -> Callable[P, None]:
    """Log exceptions of ``count``: no run may fail because a metrics file cannot be written."""

    @wraps(count)
    def counted(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            count(*args, **kwargs)
        except Exception:
            logger.exception("a run was not counted")

    return counted


@_counted
def count_stream(run: Run, step: int) -> None:
    """Count a stream that opens (``step`` 1) or closes (-1)."""
    _OPEN_STREAMS.labels(run.source).inc(step)


@_counted
def count_end(run: Run) -> None:
    """Count a run that has ended; ``run`` has the values of its end."""
    chain = run.chain_slug
    _RUNS.labels(chain, run.source, run.status).inc()
    for direction, tokens in (("input", run.input_tokens), ("output", run.output_tokens)):
        if tokens:
            _TOKENS.labels(chain, direction).inc(tokens)
    if run.cost_usd:
        _COST.labels(chain).inc(float(run.cost_usd))
    if run.first_token_ms is not None:
        _FIRST_TOKEN.labels(chain).observe(run.first_token_ms / 1000)
    if run.latency_ms is not None:
        _LATENCY.labels(chain).observe(run.latency_ms / 1000)


class _LagWatch:
    def __init__(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._watch(), name="event loop lag")

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            _LAG.observe(max(0.0, loop.time() - due))


watch_loop = per_loop(_LagWatch)
"""Start to measure the lag of the running event loop."""
