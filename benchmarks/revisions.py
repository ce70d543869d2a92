"""``make bench-self``: the working tree beside another commit, by the processor time of the server.

Needs Linux, PostgreSQL on loopback (BENCH_POSTGRES), two cores and some three minutes. Each revision runs its
own code on a database of its own; both run with the packages that are installed now. Exits with 1 where a
bound does not hold.
"""

import argparse
import asyncio
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import figures, servers
from benchmarks.figures import Measure, Ratio
from benchmarks.servers import Server

MEDIAN_AT_MOST, UPPER_QUARTILE_AT_MOST = 1.03, 1.06
# A pair has many short turns, so that other programs disturb both servers equally. All turns together are
# long, because the server's garbage collector runs once in about 1,200 requests and then takes as long as 50
# requests.
TURNS, REQUESTS = 8, 50
FIGURES: dict[str, Measure] = {
    "invoke: CPU per request": partial(figures.cpu_ms_per_invoke, count=REQUESTS),
    "stream: CPU per chunk": partial(figures.cpu_ms_per_chunk, count=REQUESTS),
}


async def compare(base: str, pairs: int) -> bool:
    """Print each figure; return whether all figures are within their bounds."""
    kept = []
    with both(base) as (new, old):
        for server in (new, old):
            await figures.warm(server)
        for name, measure in FIGURES.items():
            ratio = await figures.compare(new, old, measure, rounds=pairs, turns=TURNS)
            print(f"{name}: {described(ratio)}", flush=True)
            kept.append(keeps_bounds(ratio))
    return all(kept)


@contextmanager
def both(base: str) -> Iterator[tuple[Server, Server]]:
    """Serve the working tree and ``base`` side by side.

    Both servers run all the time, so that they can be measured in turns under the same conditions. An idle
    server uses only about a thousandth of its core.
    """
    logs = Path(tempfile.mkdtemp(prefix="bench-"))
    with (
        checked_out(base) as root,
        servers.upstream(logs),
        servers.chainhub(logs) as new,
        servers.chainhub(logs, root=root, port=servers.PEER_PORT, database="chainhub_bench_base") as old,
    ):
        yield new, old


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Provide the files of a commit in a temporary directory."""
    packed = subprocess.run(["git", "archive", revision], cwd=servers.ROOT, capture_output=True, check=False)
    if packed.returncode:
        raise SystemExit(f"Cannot check out {revision}: {packed.stderr.decode()}")
    with tempfile.TemporaryDirectory(prefix="bench-base-") as directory:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(directory, filter="data")
        yield Path(directory)


def keeps_bounds(ratio: Ratio) -> bool:
    return ratio.median <= MEDIAN_AT_MOST and ratio.upper_quartile <= UPPER_QUARTILE_AT_MOST


def described(ratio: Ratio) -> str:
    return (
        f"{ratio.ours:.3f} ms, before {ratio.theirs:.3f} ms. New/old of {len(ratio.pairs)} pairs: "
        f"median {ratio.median:.3f} (at most {MEDIAN_AT_MOST}), "
        f"upper quartile {ratio.upper_quartile:.3f} (at most {UPPER_QUARTILE_AT_MOST}): "
        f"the bound {'holds' if keeps_bounds(ratio) else 'DOES NOT HOLD'}."
    )


def default_base() -> str:
    """Return the commit where this branch left ``main``.

    If that is HEAD, return HEAD if files have changed since, else HEAD~1.
    """
    left = git("merge-base", "HEAD", "main@{upstream}") or git("merge-base", "HEAD", "main")
    if left and left != git("rev-parse", "HEAD"):
        return left
    return "HEAD" if git("diff", "--name-only", "HEAD") else "HEAD~1"


def git(*words: str) -> str:
    """Return the output of a git command; "" if it fails."""
    ran = subprocess.run(["git", *words], cwd=servers.ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", help="commit to compare with (where this branch left main)")
    parser.add_argument("--pairs", type=int, default=24, help="of each figure (24)")
    options = parser.parse_args()
    base = options.base or default_base()
    print(f"The working tree beside {git('log', '-1', '--format=%h %s', base) or base}", flush=True)
    servers.be_the_load()
    sys.exit(0 if asyncio.run(compare(base, options.pairs)) else 1)


if __name__ == "__main__":
    main()
