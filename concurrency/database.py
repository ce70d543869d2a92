"""Database work from async code."""

from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads(Executor):
    """The threads in which this process uses its database; started at the first use.

    The event loop's default executor is not used: the code of code chains runs there and may never return.
    """

    def __init__(self) -> None:
        self.size = 8
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max_workers=self.size, thread_name_prefix="database")
        return self._pool.submit(function, *args, **kwargs)


database_threads = DatabaseThreads()


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
