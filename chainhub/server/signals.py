"""The signals that ask a process to stop."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

# make and process managers forward a signal that the complete process group has received already. Two
# signals within this time count as one.
SAME_S = 0.3


class StopSignals:
    """Calls ``stop`` in the event loop at the first SIGTERM or SIGINT, and ``hurry`` at each later one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, stop: Callable[[], None], hurry: Callable[[], None]
    ):
        self.loop, self.stop, self.hurry = loop, stop, hurry
        self.first_at: float | None = None

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._arrived())

    def _arrived(self) -> None:
        # If the event loop is closed, the process is about to exit anyway.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        now = self.loop.time()
        if self.first_at is None:
            self.first_at = now
            self.stop()
        elif now - self.first_at > SAME_S:
            self.hurry()
