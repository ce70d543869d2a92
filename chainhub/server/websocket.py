"""WebSockets within limits, on top of daphne's protocol."""

from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from chainhub.server.access import log_access
from chainhub.server.outlet import Outlet

SERVICE_RESTART = 1012

# What a client may have said that the application has not heard yet, and what it may say at all
# while it takes nothing itself: each ping of its asks for an answer. Beyond, it is not read.
UNHEARD_FRAMES, UNANSWERED_BYTES = 64, 64 * 1024


class Socket(WebSocketProtocol):
    """One WebSocket; it takes the connection over from the HTTP channel that it began as."""

    unanswered = 0
    # For the access log: what the handshake is answered with.
    status = 403

    def connectionMade(self) -> None:
        self.notes: dict[str, Any] = {}
        self.outlet = Outlet(self.transport, self.factory.server_class.limits.stall_s)
        # The channel is still the one that the transport tells when to pause.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.outlet, True)
        super().connectionMade()

    def connectionLost(self, reason: Any) -> None:
        self.factory.server_class.transports.discard(self.transport)
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

    def check_timeouts(self) -> None:
        """Called every two seconds: who said too much is listened to again."""
        super().check_timeouts()
        if not self.outlet.full:
            self.unanswered = 0
        if not self._says_too_much():
            self.transport.resumeProducing()

    def _says_too_much(self) -> bool:
        inbox = getattr(self, "application_queue", None)
        unheard = inbox.qsize() if inbox is not None else 0
        return self.unanswered > UNANSWERED_BYTES or unheard > UNHEARD_FRAMES

    def serverSend(self, content: Any, binary: bool = False) -> None:
        """Autobahn raises for a socket that is closing: not the fault of who still answers a frame."""
        if self.state not in (self.STATE_CLOSING, self.STATE_CLOSED):
            super().serverSend(content, binary)

    def say_goodbye(self) -> None:
        """Close because this process ends; the client should come back, to another one."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=SERVICE_RESTART, reasonUtf8=b"The server restarts.")
        else:
            self.transport.loseConnection()


class SocketFactory(WebSocketFactory):
    """Makes our sockets."""

    protocol = Socket
