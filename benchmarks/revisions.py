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
from benchmarks.servers import Installation

MEDIAN_AT_MOST, UPPER_QUARTILE_AT_MOST = 1.03, 1.06
# Other programs disturb the machine for seconds, so turns are short and alternate. A pair has many turns,
# because the server's garbage collector runs once in about 1,200 requests.
TURNS, REQUESTS = 8, 100
# Two processes of the same code differ by some percent as long as they live, so both are started again often.
PAIRS_PER_START = 2
FIGURES: dict[str, Measure] = {
    "invoke: CPU per request": partial(figures.cpu_ms_per_invoke, count=REQUESTS),
    "stream: CPU per chunk": partial(figures.cpu_ms_per_chunk, count=REQUESTS),
}


async def compare(base: str, pairs: int) -> dict[str, Ratio]:
    """Measure each figure; the ratios are the working tree's value over that of ``base``."""
    seen: dict[str, Ratio] = {name: Ratio([]) for name in FIGURES}
    logs = Path(tempfile.mkdtemp(prefix="bench-"))
    with checked_out(base) as root, servers.upstream(logs):
        new = servers.install()
        old = servers.install(root=root, port=servers.PEER_PORT, database="chainhub_bench_base")
        for done in range(0, pairs, PAIRS_PER_START):
            for name, ratio in (await compare_once(logs, new, old)).items():
                seen[name].pairs.extend(ratio.pairs)
                print(f"{name}, pairs {done + 1} to {done + PAIRS_PER_START}: {ratio}", flush=True)
    return seen


async def compare_once(logs: Path, new: Installation, old: Installation) -> dict[str, Ratio]:
    """Measure some pairs with two newly started servers.

    Both servers run all the time, so that they can be measured in turns under the same conditions. An idle
    server uses only about a thousandth of its core.
    """
    with servers.chainhub(logs, new) as ours, servers.chainhub(logs, old) as theirs:
        for server in (ours, theirs):
            await figures.warm(server)
        return {
            name: await figures.compare(ours, theirs, measure, rounds=PAIRS_PER_START, turns=TURNS)
            for name, measure in FIGURES.items()
        }


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
    parser.add_argument("--pairs", type=int, default=16, help="pairs for each figure (16)")
    options = parser.parse_args()
    base = options.base or default_base()
    print(f"The working tree beside {git('log', '-1', '--format=%h %s', base) or base}", flush=True)
    servers.be_the_load()
    seen = asyncio.run(compare(base, options.pairs))
    for name, ratio in seen.items():
        print(f"{name}: {described(ratio)}")
    sys.exit(0 if all(keeps_bounds(ratio) for ratio in seen.values()) else 1)


if __name__ == "__main__":
    main()
