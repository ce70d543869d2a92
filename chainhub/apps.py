"""The project as a Django app: it owns the commands that start the server."""

from django.apps import AppConfig
from django.conf import settings

from concurrency.database import database_threads


class ChainHubConfig(AppConfig):
    name = "chainhub"

    def ready(self) -> None:
        database_threads.size = settings.DATABASE_POOL_SIZE
