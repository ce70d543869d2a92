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
from chainhub.proxies import is_trusted
from chainhub.server import FLUSH_S, LAST_WORDS_S, Server
from chainhub.server.limits import Limits, allow_open_files
from chainhub.server.processes import Lifeline, Supervisor, inherited, listen
from chains.actions import metrics, runs
from chains.actions.codechains import record_registered
from chains.actions.runs.workers import interrupt_lost_runs
from chains.models import Provider
from chains.runtime.errors import InvalidSpec
from chains.runtime.providers import load_kinds

logger = logging.getLogger(__name__)

# The most connections that may wait to be accepted. Twisted's default is 50.
BACKLOG = 1024
# Seconds after the drain in which a worker sends what is left and exits. The supervisor kills a worker
# that has not ended by then.
STOP_GRACE_S = LAST_WORDS_S + 2 * FLUSH_S + 1
# The garbage collector runs after this many new objects. It takes 1 µs for each of them, and everybody waits
# for it. A request creates some thousands of objects, and few of them are in reference cycles.
GARBAGE_THRESHOLD = 50_000


class Command(BaseCommand):
    help = "Serve HTTP and WebSockets on HOST and PORT, with WEB_CONCURRENCY processes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        # The supervisor passes this to its workers: the descriptors of the socket and of the lifeline.
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
        logger.info("Serving on http://%s:%d%s", host, port, settings.PATH_PREFIX)
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
    """Serve with several processes until asked to stop; return whether all of them ended as they should."""
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
    """Serve in this process until asked to stop. Exits the process at the end."""
    with usable_database():
        if lost := interrupt_lost_runs():
            logger.warning("%d runs of a process that died are marked as interrupted", lost)
        load_used_kinds()
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
    # This thread needs no database connection any more, and does not return its own to the pool by itself.
    connections.close_all()
    # All objects that are loaded now stay in memory, so the garbage collector need not examine them again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    server.run()
    # A chain's code may block a thread for ever, and a normal exit of Python would wait for that thread.
    logging.shutdown()
    os._exit(0)


def load_used_kinds() -> None:
    """Import what the enabled providers need; one that cannot be used does not stop the others."""
    for kind in Provider.objects.filter(enabled=True).values_list("kind", flat=True).distinct():
        try:
            load_kinds([kind])
        except InvalidSpec as error:
            logger.error("The providers of the kind %r cannot be used: %s", kind, error)


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
        connections_of_address=settings.MAX_CONNECTIONS_PER_ADDRESS,
        trusts=is_trusted,
    )


async def interrupt_all_runs() -> None:
    """Interrupt all runs and wait until the end of each is recorded."""
    await asyncio.gather(*(run.ended() for run in runs.interrupt_runs()))
