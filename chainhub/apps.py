"""The project as a Django app: it contains the commands that start the server."""

import sys
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.signals import got_request_exception

from chains.actions.errors import for_caller
from concurrency.database import database_threads


class ChainHubConfig(AppConfig):
    name = "chainhub"

    def ready(self) -> None:
        database_threads.size = settings.DATABASE_POOL_SIZE
        got_request_exception.connect(log_unanswered)


def log_unanswered(**_: Any) -> None:
    """Log an exception that no view has handled. Django sends this signal and responds with status 500."""
    if isinstance(error := sys.exception(), Exception):
        for_caller(error)
