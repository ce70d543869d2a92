"""The chains app."""

from django.apps import AppConfig


class ChainsConfig(AppConfig):
    name = "chains"

    def ready(self) -> None:
        from chains.actions.codechains import discover

        discover()
