"""The chains app."""

from django.apps import AppConfig
from django.urls import register_converter

from chains.doors import RefConverter


class ChainsConfig(AppConfig):
    name = "chains"

    def ready(self) -> None:
        from chains.actions.codechains import discover

        register_converter(RefConverter, "ref")
        discover()
