"""A model field whose value is encrypted at rest."""

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@lru_cache
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


class EncryptedTextField(models.TextField):
    """Clear text in Python, a Fernet token in the database. Queries cannot search it.

    The first of ``FIELD_KEYS`` encrypts; every key can decrypt.
    """

    def get_prep_value(self, value: Any) -> Any:
        if not value:
            return value
        return _cipher(tuple(settings.FIELD_KEYS)).encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        try:
            return _cipher(tuple(settings.FIELD_KEYS)).decrypt(value.encode()).decode()
        except InvalidToken:
            raise ImproperlyConfigured(
                "A stored credential cannot be decrypted: FIELD_KEYS lacks the key that wrote it."
            ) from None
