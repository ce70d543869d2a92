"""Database work from async code."""

from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads(Executor):
    """The threads in which this process uses its database; started at the first use.

    The event loop's default executor is not used: code of chains runs there and may never return.
    """

    def __init__(self) -> None:
        self.size = 8
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=self.size, thread_name_prefix="database")
        return self._pool.submit(function, *args, **kwargs)


database_threads = DatabaseThreads()


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
    return sync_to_async(borrowed_connection()(function), thread_sensitive=False, executor=database_threads)  # type: ignore[call-overload]
