"""``manage.py serve``: the production server."""

import asyncio
import gc
import logging
import os
import socket
from argparse import SUPPRESS
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from chainhub import health
from chainhub.server import FLUSH_S, LAST_WORDS_S, Server
from chainhub.server.limits import Limits, allow_open_files
from chainhub.server.processes import Lifeline, Supervisor, inherited, listen
from chains.actions import metrics, runs
from chains.actions.codechains import record_registered
from chains.actions.runs.workers import interrupt_lost_runs
from chains.models import Provider
from chains.runtime.providers import load_kinds

logger = logging.getLogger(__name__)

# Connections that wait to be accepted; Twisted's own default is 50.
BACKLOG = 1024
# After the drain, a worker says its last words and exits; one that has not ended then is killed.
STOP_GRACE_S = LAST_WORDS_S + 2 * FLUSH_S + 1
# New objects before the collector looks for cycles: each request makes some thousands, few of them in one.
GARBAGE_THRESHOLD = 100_000


class Command(BaseCommand):
    help = "Serve HTTP and WebSockets on HOST and PORT, with WEB_CONCURRENCY processes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        # What the supervisor gives to its workers.
        parser.add_argument("--worker", type=int, nargs=2, help=SUPPRESS)

    def handle(self, *args: Any, host: str, port: int, worker: list[int] | None, **options: Any) -> None:
        if worker is not None:
            fd, lifeline = worker
            serve(inherited(fd), Lifeline(lifeline))
            return
        try:
            listening = listen(host, port, backlog=BACKLOG)
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
        allow_open_files(settings.MAX_CONNECTIONS)
        with usable_database():
            record_registered()
        logger.info("Serving on http://%s:%d", host, port)
        if settings.WEB_CONCURRENCY == 1:
            serve(listening, None)
        elif not supervise(listening):
            raise CommandError("The server did not end as it should; the log tells why.")


@contextmanager
def usable_database() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        hint = "Is DATABASE_URL right, and has manage.py migrate been run?"
        raise CommandError(f"The database cannot be used: {str(error).strip()}\n{hint}") from error


def supervise(listening: socket.socket) -> bool:
    """Serve with several processes, until told to stop; whether all of them ended well."""
    for connection in connections.all():
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    supervisor = Supervisor(
        [str(settings.BASE_DIR / "manage.py"), "serve", "--worker", "{socket}", "{lifeline}"],
        listening=listening,
        count=settings.WEB_CONCURRENCY,
        stop_within_s=settings.DRAIN_SECONDS + STOP_GRACE_S,
        buried=metrics.forget_process,
    )
    with TemporaryDirectory(prefix="chainhub-metrics-") as shared_dir:
        os.environ[metrics.SHARED_DIR] = shared_dir
        return asyncio.run(supervisor.run())


def serve(listening: socket.socket, lifeline: Lifeline | None) -> None:
    """In this process, until told to stop."""
    with usable_database():
        if lost := interrupt_lost_runs():
            logger.warning("%d runs of a process that died are marked as interrupted", lost)
        load_kinds(Provider.objects.filter(enabled=True).values_list("kind", flat=True).distinct())
    server = Server(
        application=get_default_application(),
        listening=listening,
        limits=server_limits(),
        lifeline=lifeline,
        ready_callable=metrics.watch_loop,
        busy=runs.any_under_way,
        interrupt=interrupt_all_runs,
        on_drain=stop_taking_work,
    )
    # This thread needs none any more, and a place in the pool is not given back by itself.
    connections.close_all()
    # All that is loaded by now stays: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    server.run()
    # Code of a chain may hold a thread that never comes back, and Python would wait for it.
    logging.shutdown()
    os._exit(0)


def stop_taking_work() -> None:
    health.draining.set()
    runs.take_no_more_runs()


def server_limits() -> Limits:
    return Limits(
        body_bytes=settings.MAX_BODY_BYTES,
        frame_bytes=settings.WEBSOCKET_MAX_FRAME_BYTES,
        connections=settings.MAX_CONNECTIONS,
        header_s=settings.HEADER_SECONDS,
        body_s=settings.BODY_SECONDS,
        idle_s=settings.IDLE_SECONDS,
        stall_s=settings.STALL_SECONDS,
        drain_s=settings.DRAIN_SECONDS,
    )


async def interrupt_all_runs() -> None:
    """Until the end of each is recorded."""
    await asyncio.gather(*(run.ended() for run in runs.interrupt_runs()))
