"""Threads for work that would keep the event loop from others.

The event loop's default executor is not used: the code of code chains runs there and may never return.
"""

from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Executor):
    """A pool of ``size`` threads, which are started at the first use."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(max_workers=self.size, thread_name_prefix=self.name)
        return self._pool.submit(function, *args, **kwargs)


# One thread: it leaves the interpreter to the event loop about half of the time.
_long_work = Threads("long work", size=1)


def aside(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """``function`` as a coroutine function that runs in the one thread for long work.

    Only for work that limits itself, because nobody can stop a thread.
    """
    return sync_to_async(function, thread_sensitive=False, executor=_long_work)  # type: ignore[call-overload]
