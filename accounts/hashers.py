"""Hashes passwords: few at once, and without a database connection meanwhile.

One hash takes a third of a second of a core, by intention, and anybody may ask for one by signing in.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

# How many seconds a sign-in waits for its turn.
WAIT_S = 20
# All serving processes together leave half of the cores to other work.
_turns = BoundedSemaphore(max(1, len(os.sched_getaffinity(0)) // (2 * settings.WEB_CONCURRENCY)))


class TooManySignIns(Exception):
    """No turn came within WAIT_S."""


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher with the same hashes; raises TooManySignIns."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with _turn():
            return super().encode(password, salt, iterations)


@contextmanager
def _turn() -> Iterator[None]:
    if not connection.in_atomic_block:
        # It goes back to the pool. The next query takes another one.
        connection.close()
    if not _turns.acquire(timeout=WAIT_S):
        raise TooManySignIns("Too many passwords are being checked.")
    try:
        yield
    finally:
        _turns.release()
