"""Backpressure for one client: senders wait while too much data is unsent."""

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
    """Return how many bytes the client's system has acknowledged; 0 if our system cannot tell.

    Linux provides this number in ``tcp_info``.
    """
    try:
        info = transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
        return int(struct.unpack_from("=Q", info, BYTES_ACKED)[0])
    except (AttributeError, OSError, struct.error):
        return 0


@implementer(IPushProducer)
class Outlet:
    """Lets senders wait while the transport's buffer is full, and drops a client that reads nothing.

    Twisted's transport calls ``pauseProducing`` when its buffer (64 KiB) is full and ``resumeProducing``
    when the buffer is empty again. A connection is aborted when its client reads nothing for ``stall_s``
    seconds while data waits. The buffer of a slow client may need longer than that to become empty, but
    the number of acknowledged bytes grows meanwhile, so a slow client is not dropped.
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
        """Wait until more data may be sent, or until the connection is lost."""
        await self._room.wait()

    def pauseProducing(self) -> None:
        self._room.clear()
        self.watch()

    def resumeProducing(self) -> None:
        self._room.set()
        if self._transport.disconnecting:
            # The transport closes only when it has no producer any more.
            self._transport.unregisterProducer()
        else:
            self._stop_watching()

    def stopProducing(self) -> None:
        """Called when the connection is lost."""
        self._room.set()
        self._stop_watching()

    def watch(self) -> None:
        """From now on, abort the connection if the client reads nothing for ``stall_s`` seconds."""
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
