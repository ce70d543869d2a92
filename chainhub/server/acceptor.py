"""Accepts connections on a listening socket that several worker processes may share."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

AT_ONCE = 100
# On a shared socket, a worker that has connections waits before it accepts, so that less busy workers
# accept first. It waits PATIENCE_S for each open connection, LONGEST_S at most. Then it accepts up to
# LEFT_OVER connections that no other worker has accepted meanwhile.
PATIENCE_S, LONGEST_S, LEFT_OVER = 0.001, 0.01, 8
# The pause before the next try when there is no free file descriptor.
RECOVER_S = 0.5


class Acceptor:
    """Calls ``take`` with each new connection (a non-blocking socket) and the client's address.

    ``load`` returns the number of open connections of this process. ``shared``: other processes accept
    from the same socket. There, the process that wakes first would accept all new connections, and that
    is mostly the same one, so busy processes wait.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        shared: bool,
        take: Callable[[socket.socket, Any], None],
        load: Callable[[], int],
    ):
        self.listening, self.shared, self.take, self.load = listening, shared, take, load

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        loop.add_reader(self.listening, self._arrived)

    def stop(self) -> None:
        if self.listening.fileno() >= 0:
            self.loop.remove_reader(self.listening)
            self.listening.close()

    def _arrived(self) -> None:
        if not self.shared:
            self._accept(AT_ONCE)
        elif load := self.load():
            self._later(min(load * PATIENCE_S, LONGEST_S))
        else:
            self._accept(1)

    def _later(self, wait_s: float) -> None:
        self.loop.remove_reader(self.listening)
        self.loop.call_later(wait_s, self._take_left_over)

    def _take_left_over(self) -> None:
        if self.listening.fileno() >= 0:
            self.loop.add_reader(self.listening, self._arrived)
            self._accept(LEFT_OVER)

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                connection, address = self.listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("Connections cannot be accepted: %s", error)
                self._later(RECOVER_S)
                return
            connection.setblocking(False)
            self.take(connection, address)
