"""The measurements: each figure of one server, and the ratio of two servers that are measured in turns."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.load import Seen, many, many_runs
from benchmarks.servers import PATH, Server

# The number of chunks in which the upstream sends each answer.
CHUNKS = 20
# A server may work for a few milliseconds after its last answer. The figure includes that work.
SETTLE_S = 0.05
Measure = Callable[[Server], Awaitable[float]]


@dataclass(frozen=True)
class Ratio:
    """The ratio of our figure to theirs. The two figures of a pair were measured one after the other."""

    pairs: list[tuple[float, float]]

    @property
    def ours(self) -> float:
        return statistics.median(ours for ours, _ in self.pairs)

    @property
    def theirs(self) -> float:
        return statistics.median(theirs for _, theirs in self.pairs)

    @property
    def each(self) -> list[float]:
        return [ours / theirs for ours, theirs in self.pairs]

    @property
    def median(self) -> float:
        return statistics.median(self.each)

    @property
    def upper_quartile(self) -> float:
        return statistics.quantiles(self.each, n=4, method="inclusive")[2]

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.each):.2f}-{max(self.each):.2f})"


async def compare(
    ours: Server,
    theirs: Server,
    measure: Measure,
    *,
    rounds: int,
    turns: int = 1,
    peer: Measure | None = None,
) -> Ratio:
    """Measure ``rounds`` pairs. Each is the mean of ``turns`` measurements of each server.

    One server is idle while the other is measured. The order alternates (A B B A ...), so that a slow change
    of the machine's speed favours neither. ``peer`` measures ``theirs`` if that needs another function.
    """
    seen = []
    for index in range(rounds * turns):
        if index % 2:
            our = await measure(ours)
            seen.append((our, await (peer or measure)(theirs)))
        else:
            their = await (peer or measure)(theirs)
            seen.append((await measure(ours), their))
    return Ratio([mean(seen[first : first + turns]) for first in range(0, len(seen), turns)])


def mean(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    ours, theirs = zip(*pairs, strict=True)
    return statistics.fmean(ours), statistics.fmean(theirs)


async def warm(server: Server) -> None:
    """Send the first requests. They load modules and fill caches, so they are not measured."""
    await cpu_ms_per_invoke(server)
    await cpu_ms_per_chunk(server)


def body(chunks: int = CHUNKS, delay_ms: int = 0) -> dict:
    return {"input": {"topic": f"chunks={chunks} delay_ms={delay_ms}"}}


async def cpu_ms_per_invoke(server: Server, *, count: int = 300) -> float:
    seen, cpu_s = await spent(server, many(server.target, f"{PATH}/invoke", body(), count=count, at_once=8))
    return cpu_s * 1000 / len(seen)


async def cpu_ms_per_chunk(server: Server, *, count: int = 100) -> float:
    seen, cpu_s = await spent(server, many(server.target, f"{PATH}/stream", body(), count=count, at_once=8))
    return cpu_s * 1000 / (len(seen) * CHUNKS)


async def cpu_ms_per_socket_chunk(server: Server) -> float:
    run = many_runs(server.target, f"/ws{PATH}/", body()["input"], count=100, at_once=8)
    seen, cpu_s = await spent(server, run)
    return cpu_s * 1000 / (len(seen) * CHUNKS)


async def batch_s(server: Server) -> float:
    inputs = {"inputs": [body()["input"]] * 100}
    (seen,) = checked(await many(server.target, f"{PATH}/batch", inputs, count=1, at_once=1))
    return seen.total_s


async def first_tokens_ms(server: Server, *, at_once: int = 32, rounds: int = 4) -> list[float]:
    seen = checked(
        await many(server.target, f"{PATH}/stream", body(20, 10), count=at_once * rounds, at_once=at_once)
    )
    return sorted(one.first_s * 1000 for one in seen)


def first_token_ms(percent: int) -> Measure:
    async def measure(server: Server) -> float:
        return percentile(await first_tokens_ms(server), percent)

    return measure


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The figures of many concurrent streams. Times in seconds, memory in MiB."""

    whole_p50: float
    first_p50: float
    first_p99: float
    memory_mb: float
    errors: int


async def crowd(server: Server, *, streams: int = 500, chunks: int = 50, delay_ms: int = 100) -> Crowd:
    seen = await many(server.target, f"{PATH}/stream", body(chunks, delay_ms), count=streams, at_once=streams)
    firsts = sorted(one.first_s for one in seen)
    return Crowd(
        whole_p50=statistics.median(one.total_s for one in seen),
        first_p50=percentile(firsts, 50),
        first_p99=percentile(firsts, 99),
        memory_mb=server.memory_mb(),
        errors=sum(not one.ok or not one.chunks for one in seen),
    )


async def growth_mb(server: Server, *, warm: int = 2000, count: int = 20_000) -> float:
    await many(server.target, f"{PATH}/invoke", body(), count=warm, at_once=16)
    before = server.memory_mb()
    checked(await many(server.target, f"{PATH}/invoke", body(), count=count, at_once=16))
    return server.memory_mb() - before


async def spent(server: Server, load: Awaitable[list[Seen]]) -> tuple[list[Seen], float]:
    """Return the answers, and the processor time that the server used meanwhile, in seconds."""
    before = server.cpu_s()
    seen = checked(await load)
    await asyncio.sleep(SETTLE_S)
    return seen, server.cpu_s() - before


def checked(seen: list[Seen]) -> list[Seen]:
    if bad := sum(not one.ok for one in seen):
        raise SystemExit(f"{bad} of {len(seen)} requests failed: these figures would mean nothing.")
    return seen


def percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
