"""WebSockets with limits, on top of daphne's protocol."""

import time
from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from chainhub.server.access import log_access
from chainhub.server.outlet import Outlet

SERVICE_RESTART, MESSAGE_TOO_BIG, POLICY_VIOLATION = 1012, 1009, 1008

# How many frames may wait for the application, and how many bytes a client may send while it reads nothing
# itself (each of its pings causes an answer). Beyond either limit the server stops reading from the client.
UNHEARD_FRAMES, UNANSWERED_BYTES = 64, 64 * 1024


class Socket(WebSocketProtocol):
    """One WebSocket. It takes over the connection from the HTTP channel that received the handshake."""

    unanswered = 0
    # When the message that has not arrived whole has begun, in seconds of the monotonic clock.
    message_began: float | None = None
    # For the access log: the status of the handshake.
    status = 403

    def connectionMade(self) -> None:
        self.notes: dict[str, Any] = {}
        self.outlet = Outlet(self.transport, self.factory.server_class.limits.stall_s)
        # Until now the transport has called the HTTP channel when its buffer was full.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.outlet, True)
        super().connectionMade()

    def connectionLost(self, reason: Any) -> None:
        self.factory.server_class.crowd.leave(self.transport)
        super().connectionLost(reason)
        if hasattr(self, "path"):
            log_access(
                method="WS",
                path=self.path,
                status=self.status,
                bytes=self.trafficStats.outgoingOctetsWireLevel,
                ms=round(self.duration() * 1000),
                notes=self.notes,
            )

    def onOpen(self) -> None:
        self.status = 101
        super().onOpen()

    def handle_exception(self, exception: Exception) -> None:
        if self.state == self.STATE_CONNECTING:
            self.status = 500
        super().handle_exception(exception)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self.outlet.full:
            self.unanswered += len(data)
        if self._says_too_much():
            self.transport.pauseProducing()

    # --- Messages ------------------------------------------------------------------------------

    def onMessageBegin(self, isBinary: bool) -> None:
        self.message_began = time.monotonic()
        super().onMessageBegin(isBinary)

    def onMessageFrameBegin(self, length: int) -> None:
        """Refuse a message of several frames as soon as it is too large.

        Autobahn has one limit for both directions, and answers may be larger than what a client may send.
        """
        limit = self.factory.server_class.limits.frame_bytes
        if not self.failedByMe and self.message_data_total_length + length > limit:
            self._fail_connection(MESSAGE_TOO_BIG, f"A message has at most {limit} bytes.")
        super().onMessageFrameBegin(length)

    def onMessageEnd(self) -> None:
        self.message_began = None
        super().onMessageEnd()

    def check_timeouts(self) -> None:
        """Called every two seconds: read again from a client that is within the limits again."""
        super().check_timeouts()
        limit = self.factory.server_class.limits.body_s
        if self.message_began is not None and time.monotonic() - self.message_began > limit:
            self.message_began = None
            self._fail_connection(POLICY_VIOLATION, f"A message took longer than {limit:g} s.")
        if not self.outlet.full:
            self.unanswered = 0
        if not self._says_too_much():
            self.transport.resumeProducing()

    def _says_too_much(self) -> bool:
        inbox = getattr(self, "application_queue", None)
        unheard = inbox.qsize() if inbox is not None else 0
        return self.unanswered > UNANSWERED_BYTES or unheard > UNHEARD_FRAMES

    def serverSend(self, content: Any, binary: bool = False) -> None:
        """Send, unless the socket is closing.

        Autobahn raises then, but an application that still answers a frame has made no mistake.
        """
        if self.state not in (self.STATE_CLOSING, self.STATE_CLOSED):
            super().serverSend(content, binary)

    def say_goodbye(self) -> None:
        """Close because this process ends. The close code asks the client to connect again."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=SERVICE_RESTART, reasonUtf8=b"The server restarts.")
        else:
            self.transport.loseConnection()


class SocketFactory(WebSocketFactory):
    """Creates a ``Socket`` for each connection."""

    protocol = Socket
