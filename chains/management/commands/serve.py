"""``manage.py serve``: the production server."""

import asyncio
import logging
from typing import Any

from channels.routing import get_default_application
from daphne.endpoints import build_endpoint_description_strings
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chainhub import health
from chainhub.server import Server
from chainhub.server.limits import Limits
from chains.actions import runs
from chains.actions.workers import interrupt_lost_runs
from chains.models import Provider
from chains.runtime.providers import load_kinds

logger = logging.getLogger(__name__)

# Connections that wait to be accepted; Twisted's own default is 50.
BACKLOG = 1024


class Command(BaseCommand):
    help = "Serve HTTP and WebSockets with daphne on HOST and PORT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        if lost := interrupt_lost_runs():
            logger.warning("%d runs of a process that died are marked as interrupted", lost)
        load_kinds(Provider.objects.filter(enabled=True).values_list("kind", flat=True).distinct())
        logger.info("Serving on http://%s:%d", host, port)
        endpoints = build_endpoint_description_strings(host=host, port=port)
        server = Server(
            application=get_default_application(),
            endpoints=[f"{endpoint}:backlog={BACKLOG}" for endpoint in endpoints],
            limits=server_limits(),
            busy=runs.any_under_way,
            interrupt=interrupt_all_runs,
            on_drain=stop_taking_work,
        )
        server.run()
        if server.failed:
            raise CommandError(f"Cannot listen on {host}:{port}.")


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
