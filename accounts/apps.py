"""Django's entry to this app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # Registers how our two ways to authenticate look in the OpenAPI document.
        from accounts import schema  # noqa: F401
