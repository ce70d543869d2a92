"""``manage.py serve``: the production server."""

import logging
from typing import Any

from channels.routing import get_default_application
from daphne.endpoints import build_endpoint_description_strings
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from chainhub.server import DrainingServer
from chains.actions.workers import interrupt_lost_runs

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serve HTTP and WebSockets with daphne on HOST and PORT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        if lost := interrupt_lost_runs():
            logger.warning("%d runs of a process that died are marked as interrupted", lost)
        logger.info("Serving on http://%s:%d", host, port)
        DrainingServer(
            application=get_default_application(),
            endpoints=build_endpoint_description_strings(host=host, port=port),
            websocket_max_message_size=settings.WEBSOCKET_MAX_FRAME_BYTES,
            websocket_max_frame_size=settings.WEBSOCKET_MAX_FRAME_BYTES,
            server_name="",
        ).run()
