"""Database work from async code."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection

from concurrency.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")


database_threads = Threads("database", size=8)


@contextmanager
def borrowed_connection() -> Iterator[None]:
    """Release the thread's database connection after the block; a stream would hold it until its end.

    Inside a transaction the connection stays open, because the caller still uses it. Channels' own helper
    would close it there.
    """
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            close_old_connections()


def in_database_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """``function`` as a coroutine function that runs in a database thread.

    A request's own thread is not used: it ends with the request, but a run or a socket may live longer.
    """
    return sync_to_async(borrowed_connection()(function), thread_sensitive=False, executor=database_threads)  # type: ignore[call-overload]
