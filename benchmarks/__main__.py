"""``make bench``: ChainHub beside LangServe, written to benchmarks/RESULTS.md.

Needs PostgreSQL on loopback (BENCH_POSTGRES), two cores and ten minutes.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figures, servers
from benchmarks.figures import Crowd, Measure
from benchmarks.report import Row, write
from benchmarks.servers import Server


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A figure that is compared as a ratio. ``peer`` measures LangServe if that needs another function."""

    name: str
    must: str
    aim: str
    unit: str
    measure: Measure
    peer: Measure | None = None


RATIOS = [
    Compared(
        name="invoke: CPU per request",
        must="≤ 0.70",
        aim="≤ 0.40",
        unit="ms",
        measure=figures.cpu_ms_per_invoke,
    ),
    Compared(
        name="stream: CPU per chunk",
        must="≤ 0.45",
        aim="≤ 0.20",
        unit="ms",
        measure=figures.cpu_ms_per_chunk,
    ),
    Compared(
        name="WebSocket run: CPU per chunk / LangServe's SSE",
        must="≤ 0.45",
        aim="≤ 0.20",
        unit="ms",
        measure=figures.cpu_ms_per_socket_chunk,
        peer=figures.cpu_ms_per_chunk,
    ),
    *(
        Compared(
            name=f"first token, 32 streams: p{percent}",
            must="≤ 0.8",
            aim="≤ 0.4",
            unit="ms",
            measure=figures.first_token_ms(percent),
        )
        for percent in (50, 99)
    ),
    Compared(name="batch of 100: wall time", must="≤ 0.8", aim="≤ 0.4", unit="s", measure=figures.batch_s),
]
CROWD = "500 streams of 50 chunks at 10/s"
OF_A_CROWD: list[tuple[str, str, str, Callable[[Crowd], str]]] = [
    ("whole stream, p50", "≤ 8 s", "≤ 5.5 s", lambda c: f"{c.whole_p50:.2f} s"),
    ("first token, p50", "≤ 0.7 s", "≤ 0.2 s", lambda c: f"{c.first_p50:.2f} s"),
    ("first token, p99", "≤ 2 s", "≤ 0.5 s", lambda c: f"{c.first_p99:.2f} s"),
    ("memory", "≤ 300 MB", "≤ 240 MB", lambda c: f"{c.memory_mb:.0f} MB"),
    ("errors", "0", "0", lambda c: str(c.errors)),
]
GROWTH, START = "memory growth over 20,000 invokes", "cold start to ready"


async def measure(only: str, rounds: int) -> None:
    logs = Path(tempfile.mkdtemp(prefix="bench-"))
    rows: list[Row] = []
    installed = servers.install()
    with servers.upstream(logs), servers.langserve(logs) as peer, servers.chainhub(logs, installed) as hub:
        for server in (hub, peer):
            await figures.warm(server)
        async for row in every_row(hub, peer, only, rounds):
            print(f"{row.name}: {row.ours} against {row.theirs} {row.ratio}", flush=True)
            rows.append(row)
    if not only:
        write(rows, rounds)


async def every_row(hub: Server, peer: Server, only: str, rounds: int) -> AsyncIterator[Row]:
    for figure in RATIOS:
        if only in figure.name:
            ratio = await figures.compare(hub, peer, figure.measure, rounds=rounds, peer=figure.peer)
            yield Row(
                name=figure.name,
                must=figure.must,
                aim=figure.aim,
                ours=f"{ratio.ours:.2f} {figure.unit}",
                theirs=f"{ratio.theirs:.2f} {figure.unit}",
                ratio=str(ratio),
            )
    if only in CROWD:
        ours, theirs = await figures.crowd(hub), await figures.crowd(peer)
        for what, must, aim, text in OF_A_CROWD:
            yield Row(name=f"{CROWD}: {what}", must=must, aim=aim, ours=text(ours), theirs=text(theirs))
    if only in GROWTH:
        grown = f"{await figures.growth_mb(hub):.1f} MB"
        yield Row(name=GROWTH, must="≤ 10 MB", aim="flat", ours=grown, theirs="-")
    if only in START:
        started = [f"{server.started_s:.1f} s" for server in (hub, peer)]
        yield Row(name=START, must="≤ 5 s", aim="≤ 2 s", ours=started[0], theirs=started[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="figures whose name contains this")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    servers.be_the_load()
    asyncio.run(measure(options.only, options.rounds))


if __name__ == "__main__":
    main()
