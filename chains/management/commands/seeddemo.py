"""``manage.py seeddemo``: create the demo's records. It may be run again at any time."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chains.actions.demo import seed_demo


class Command(BaseCommand):
    help = "Create the demo's user, providers and chains where they are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        seed_demo(
            openai_api_key=settings.OPENAI_API_KEY,
            openai_base_url=settings.OPENAI_BASE_URL,
            openai_model=settings.OPENAI_MODEL,
        )
