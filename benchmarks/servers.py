"""The processes under test: started on one core, watched through /proc."""

import json
import os
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
SERVER_CORE, LOAD_CORE = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")
POSTGRES = os.environ.get("BENCH_POSTGRES", "postgres://postgres@127.0.0.1:5432")
DATABASE = "chainhub_bench"
UPSTREAM_PORT, LANGSERVE_PORT, CHAINHUB_PORT = 8201, 8202, 8203
UPSTREAM = f"http://127.0.0.1:{UPSTREAM_PORT}/v1"
PATH = "/chains/joke"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server; ``started_s`` is how long it took until it answered."""

    name: str
    pid: int
    target: Target
    started_s: float

    def cpu_s(self) -> float:
        """Processor time so far, of the process and its threads, as the operating system counts it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        """Resident set size."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def process(command: list[str], *, core: str, log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["taskset", "-c", core, *command],
            cwd=ROOT,
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
    """Seconds until it answers anything at all but a refused connection."""
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
    with process(command, core=LOAD_CORE, log=log):
        while "ready" not in log.read_text():
            time.sleep(0.05)
        yield


@contextmanager
def langserve(logs: Path) -> Iterator[Server]:
    command = [str(ROOT / ".venv-bench/bin/python"), "-m", "uvicorn", "benchmarks.langserve_app:app"]
    command += ["--port", str(LANGSERVE_PORT), "--no-access-log"]
    log = logs / "langserve.log"
    with process(command, core=SERVER_CORE, log=log, UPSTREAM=UPSTREAM) as running:
        started_s = wait_for(f"http://127.0.0.1:{LANGSERVE_PORT}/docs", running, log)
        yield Server(
            name="LangServe", pid=running.pid, target=Target(port=LANGSERVE_PORT), started_s=started_s
        )


@contextmanager
def chainhub(logs: Path) -> Iterator[Server]:
    """On a fresh PostgreSQL database, with a key and a chain of the same form."""
    environment = {
        "DEBUG": "off",
        "SECRET_KEY": "benchmark " * 6,
        "FIELD_KEYS": "YmVuY2htYXJrYmVuY2htYXJrYmVuY2htYXJrYmVuY2g=",
        "ALLOWED_HOSTS": "127.0.0.1",
        "ALLOWED_ORIGINS": f"http://127.0.0.1:{CHAINHUB_PORT}",
        "SECURE_SSL_REDIRECT": "off",
        "DATABASE_URL": f"{POSTGRES}/{DATABASE}",
        "ENV_FILE": os.devnull,
        "PORT": str(CHAINHUB_PORT),
        "LOG_LEVEL": "WARNING",
    }
    with psycopg.connect(
        f"{POSTGRES}/postgres".replace("postgres://", "postgresql://"), autocommit=True
    ) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        admin.execute(f"CREATE DATABASE {DATABASE}")
    seeded = subprocess.run(
        [sys.executable, "-m", "benchmarks.seed", UPSTREAM],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    login = json.loads(seeded.stdout.splitlines()[-1])
    target = Target(
        port=CHAINHUB_PORT,
        headers=f"Authorization: Bearer {login['key']}\r\n",
        cookie=f"sessionid={login['session']}",
    )
    log = logs / "chainhub.log"
    with process([sys.executable, "manage.py", "serve"], core=SERVER_CORE, log=log, **environment) as running:
        started_s = wait_for(f"http://127.0.0.1:{CHAINHUB_PORT}/readyz", running, log)
        yield Server(name="ChainHub", pid=running.pid, target=target, started_s=started_s)
