"""Database work from async code."""

from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections, connection

P = ParamSpec("P")
T = TypeVar("T")

# Not the event loop's own, in which code of chains runs that may never come back.
_threads = ThreadPoolExecutor(max_workers=settings.DATABASE_POOL_SIZE, thread_name_prefix="database")


@contextmanager
def borrowed_connection() -> Iterator[None]:
    """Give the database connection back afterwards: a stream would hold it to its end.

    Inside a transaction it is not ours to give; there Channels' own helper would close it.
    """
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            close_old_connections()


def in_database_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """``function`` as a coroutine that runs in a thread which belongs to no request.

    A request's own thread ends with the request; a run or a socket goes on.
    """
    return sync_to_async(borrowed_connection()(function), thread_sensitive=False, executor=_threads)
