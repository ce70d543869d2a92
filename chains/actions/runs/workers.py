"""Worker processes: heartbeats for the runs of this process, and the end of runs whose process died."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import cache
from pathlib import Path
from uuid import UUID

from django.utils import timezone

from chains.actions.runs.settle import settle_lost
from chains.models import Run
from chains.models.runs import HEARTBEAT_S
from concurrency.database import in_database_thread
from concurrency.loops import per_loop

logger = logging.getLogger(__name__)


def _started(pid: int) -> str:
    """When a process of this machine started (clock ticks since boot); "" where there is none.

    Source: proc(5), field 22 of /proc/pid/stat. The pid alone is not enough, because pids are reused.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@cache
def host() -> str:
    """This machine's name and pid namespace, because containers may have the same host name."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}".strip()


def worker_id() -> str:
    """``host/pid/start`` of this process."""
    return _worker_id(os.getpid())


@cache
def _worker_id(pid: int) -> str:
    return f"{host()}/{pid}/{_started(pid)}"


def _is_dead(worker: str) -> bool:
    """Whether the process is certainly dead. This is known only for this machine's processes, by /proc."""
    its_host, _, rest = worker.partition("/")
    pid, _, start = rest.partition("/")
    return its_host == host() and bool(start) and _started(int(pid)) != start


def interrupt_lost_runs() -> int:
    """Mark runs whose process died as interrupted; returns how many there were.

    For this machine it checks whether the processes still exist. On any machine, a run also counts as lost
    when it has had no heartbeat for a minute.
    """
    workers = Run.objects.running().values_list("worker", flat=True).distinct()
    dead = [worker for worker in workers if _is_dead(worker)]
    lost = Run.objects.running().filter(worker__in=dead) | Run.objects.silent()
    return settle_lost(lost)


class Heartbeat:
    """One task in each event loop. It writes the heartbeat of the loop's runs and looks for lost runs."""

    def __init__(self) -> None:
        self.alive: Callable[[], Sequence[UUID]] = list
        self.task = asyncio.get_running_loop().create_task(
            self._beat(),
            name="heartbeat",
            # With that of the first request, its id would stand in every line that the heartbeat logs.
            context=Context(),
        )

    @staticmethod
    def ensure(alive: Callable[[], Sequence[UUID]]) -> None:
        """Start the task at the loop's first run; ``alive`` returns the ids of the runs in progress."""
        _heartbeat().alive = alive

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                await in_database_thread(beat)(self.alive())
            except Exception:
                logger.exception("the heartbeat of the runs failed")


_heartbeat = per_loop(Heartbeat)


def beat(alive: Sequence[UUID]) -> None:
    if alive:
        Run.objects.running().filter(pk__in=alive).update(seen_at=timezone.now())
    interrupt_lost_runs()
