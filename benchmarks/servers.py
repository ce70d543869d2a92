"""Starts the processes under test on one core, and reads their figures from /proc."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.load import Target

ROOT = Path(__file__).resolve().parent.parent
# If there are two cores, the server under test has one; the load and the upstream share the other.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
TICKS = os.sysconf("SC_CLK_TCK")
POSTGRES = os.environ.get("BENCH_POSTGRES", "postgres://postgres@127.0.0.1:5432")
UPSTREAM_PORT, PEER_PORT, CHAINHUB_PORT = 8201, 8202, 8203
UPSTREAM = f"http://127.0.0.1:{UPSTREAM_PORT}/v1"
PATH = "/chains/joke"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server; ``started_s`` is the time from its start to its first response, in seconds."""

    name: str
    pid: int
    target: Target
    started_s: float

    def cpu_s(self) -> float:
        """Return the processor seconds so far of the process and its children, including ended ones."""
        return sum(own_cpu_s(pid) + buried_cpu_s(pid) for pid in family(self.pid))

    def memory_mb(self) -> float:
        """Return the resident set size in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def family(pid: int) -> Iterator[int]:
    """Yield the process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


def own_cpu_s(pid: int) -> float:
    """Return the processor seconds of all threads, including ended ones.

    This clock counts nanoseconds; /proc counts ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)  # Linux's clock_getcpuclockid, which Python does not have


def buried_cpu_s(pid: int) -> float:
    """Return the processor seconds of children that have ended and were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def be_the_load() -> None:
    """Keep this process and its children off the server's core. SIGTERM and SIGHUP end all of them."""
    os.sched_setaffinity(0, {LOAD_CORE})
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


@contextmanager
def process(
    command: list[str], *, core: int, log: Path, root: Path = ROOT, **environment: str
) -> Iterator[subprocess.Popen]:
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            cwd=root,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()


def wait_for(url: str, running: subprocess.Popen, log: Path) -> float:
    """Return the seconds until ``url`` gives any HTTP response."""
    began = time.perf_counter()
    while time.perf_counter() - began < 60:
        if running.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            pass
        except OSError:
            time.sleep(0.01)
            continue
        return time.perf_counter() - began
    raise SystemExit(f"{url} does not answer:\n{log.read_text()[-3000:]}")


@contextmanager
def upstream(logs: Path) -> Iterator[None]:
    command = [sys.executable, "benchmarks/upstream.py", str(UPSTREAM_PORT)]
    log = logs / "upstream.log"
    with process(command, core=LOAD_CORE, log=log) as running:
        while not log.read_text().startswith("ready"):
            if running.poll() is not None:
                raise SystemExit(
                    f"The upstream did not start. Is another benchmark running?\n{log.read_text()}"
                )
            time.sleep(0.05)
        yield


@contextmanager
def langserve(logs: Path) -> Iterator[Server]:
    command = [str(ROOT / ".venv-bench/bin/python"), "-m", "uvicorn", "benchmarks.langserve_app:app"]
    command += ["--port", str(PEER_PORT), "--no-access-log"]
    log = logs / "langserve.log"
    with process(command, core=SERVER_CORE, log=log, UPSTREAM=UPSTREAM) as running:
        started_s = wait_for(f"http://127.0.0.1:{PEER_PORT}/docs", running, log)
        yield Server(name="LangServe", pid=running.pid, target=Target(port=PEER_PORT), started_s=started_s)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A revision of ChainHub with its database, ready to be served."""

    root: Path
    environment: dict[str, str]
    target: Target


def install(
    *, root: Path = ROOT, port: int = CHAINHUB_PORT, database: str = "chainhub_bench"
) -> Installation:
    """The ChainHub of ``root`` on a fresh PostgreSQL database, with a key and a chain of the same form.

    ``root`` may contain another revision. It needs ``benchmarks.seed``, which prints a key and a session,
    and ``manage.py serve``.
    """
    environment = chainhub_environment(port, database)
    create_database(database)
    login = seed(root, environment)
    target = Target(
        port=port,
        headers=f"Authorization: Bearer {login['key']}\r\n",
        cookie=f"sessionid={login['session']}",
    )
    return Installation(root=root, environment=environment, target=target)


@contextmanager
def chainhub(logs: Path, installed: Installation) -> Iterator[Server]:
    port = installed.target.port
    log = logs / f"chainhub-{port}.log"
    command = [sys.executable, "manage.py", "serve"]
    with process(command, core=SERVER_CORE, log=log, root=installed.root, **installed.environment) as running:
        started_s = wait_for(f"http://127.0.0.1:{port}/readyz", running, log)
        yield Server(name="ChainHub", pid=running.pid, target=installed.target, started_s=started_s)


def chainhub_environment(port: int, database: str) -> dict[str, str]:
    return {
        "DEBUG": "off",
        "SECRET_KEY": "benchmark " * 6,
        "FIELD_KEYS": "YmVuY2htYXJrYmVuY2htYXJrYmVuY2htYXJrYmVuY2g=",
        "ALLOWED_HOSTS": "127.0.0.1",
        "ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        "SECURE_SSL_REDIRECT": "off",
        "DATABASE_URL": f"{POSTGRES}/{database}",
        "ENV_FILE": os.devnull,
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }


def create_database(name: str) -> None:
    """Create an empty database. An older one of this name is dropped."""
    url = f"{POSTGRES}/postgres".replace("postgres://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name}")


def seed(root: Path, environment: dict[str, str]) -> dict[str, str]:
    """Run the seed of ``root`` and return what it prints: a key and a session."""
    seeded = subprocess.run(
        [sys.executable, "-m", "benchmarks.seed", UPSTREAM],
        cwd=root,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    if seeded.returncode:
        raise SystemExit(f"{root} cannot be seeded:\n{seeded.stderr[-3000:]}")
    return json.loads(seeded.stdout.splitlines()[-1])
