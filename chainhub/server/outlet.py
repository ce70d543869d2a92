"""What is on its way to one client: who sends waits while too much is unsent."""

import asyncio
import socket
import struct
from typing import Any

from daphne.server import reactor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

# Source: struct tcp_info in linux/tcp.h, the field tcpi_bytes_acked.
TCP_INFO_SIZE, BYTES_ACKED = 128, 120


def taken_bytes(transport: Any) -> int:
    """What the client's side has acknowledged so far; always 0 where the system does not tell."""
    try:
        info = transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
        return int(struct.unpack_from("=Q", info, BYTES_ACKED)[0])
    except (AttributeError, OSError, struct.error):
        return 0


@implementer(IPushProducer)
class Outlet:
    """Told by Twisted's transport when its buffer (64 KiB) is full and when it is empty again.

    A client that takes nothing for ``stall_s`` while something waits for it is dropped: the buffer
    of a client that is merely slow may take longer than that to become empty, but moves meanwhile.
    """

    def __init__(self, transport: Any, stall_s: float, clock: Any = reactor):
        self._transport, self._stall_s, self._clock = transport, stall_s, clock
        self._room = asyncio.Event()
        self._room.set()
        self._check: Any = None
        self._taken = 0
        self._moved_at = 0.0

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until more may be sent, or until nobody is there to send it to."""
        await self._room.wait()

    def pauseProducing(self) -> None:
        self._room.clear()
        self.watch()

    def resumeProducing(self) -> None:
        self._room.set()
        if self._transport.disconnecting:
            # Else it would wait for its producer's last words, and never close.
            self._transport.unregisterProducer()
        else:
            self._stop_watching()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._room.set()
        self._stop_watching()

    def watch(self) -> None:
        """From now on the client has to take something now and then."""
        if self._check is None:
            self._taken, self._moved_at = taken_bytes(self._transport), self._clock.seconds()
            self._look_again()

    def _look_again(self) -> None:
        self._check = self._clock.callLater(min(1.0, self._stall_s / 4), self._look)

    def _look(self) -> None:
        taken, now = taken_bytes(self._transport), self._clock.seconds()
        if taken != self._taken:
            self._taken, self._moved_at = taken, now
        elif now - self._moved_at >= self._stall_s:
            self._check = None
            self._transport.abortConnection()
            return
        self._look_again()

    def _stop_watching(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = None
