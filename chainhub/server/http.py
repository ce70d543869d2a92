"""HTTP connections and requests with limits, on top of Twisted's channel and daphne's request."""

import json
from http import HTTPStatus
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.web import http

from chainhub.server.access import log_access
from chainhub.server.outlet import Outlet

# After a refusal the server still reads this many bytes, or as many as a body may have, for this many
# seconds, so that the client receives the response. If a connection is closed while it has unread bytes, TCP
# resets it, and the client may see the reset before the response.
LINGER_BYTES, LINGER_S = 1024 * 1024, 2

# Proxies know 499, but http.HTTPStatus does not.
PHRASES = {499: "Client Closed Request"} | {status.value: status.phrase for status in HTTPStatus}


def phrase(status: int) -> str:
    return PHRASES.get(status) or PHRASES.get(status // 100 * 100, "Unknown Status")


class Channel(http.HTTPChannel):
    """One HTTP connection.

    Each time limit counts from the start of a phase (headers, body, idle). A client that sends one byte a
    second does not extend it.
    """

    refused = False
    # Whether the next byte is the first one of a request.
    between = True

    def connectionMade(self) -> None:
        super().connectionMade()
        self.limits = self.factory.server.limits
        self.outlet = Outlet(self.transport, self.limits.stall_s)
        self.crowd = self.factory.server.crowd
        if refusal := self.crowd.join(self.transport):
            self.refuse(503, "too_many_connections", refusal)

    def connectionLost(self, reason: Any) -> None:
        self.crowd.leave(self.transport)
        self.outlet.stopProducing()
        super().connectionLost(reason)

    # --- Time limits ---------------------------------------------------------------------------

    def resetTimeout(self) -> None:
        """Do nothing. Twisted calls this for all data that arrives and would restart the time limit."""

    def timeoutConnection(self) -> None:
        if self.refused:
            self.transport.abortConnection()
        else:
            super().timeoutConnection()

    def dataReceived(self, data: bytes) -> None:
        if self.refused:
            self._discard(data)
            return
        self.crowd.said_something(self.transport)
        if self.between:
            self.between = False
            # Cancel the timer, then set a new one: to make a timer shorter, Twisted searches all timers.
            self.setTimeout(None)
            self.setTimeout(self.limits.header_s)
        super().dataReceived(data)

    # --- Headers -------------------------------------------------------------------------------

    def lineReceived(self, line: bytes) -> None:
        if self.refused:
            return
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        if self._receivedHeaderSize == 0:
            self.refuse(414, "uri_too_long", f"The address is longer than {self.totalHeadersSize} bytes.")
        else:
            self.refuse(431, "headers_too_large", f"The headers have over {self.totalHeadersSize} bytes.")

    def headerReceived(self, line: bytes) -> bool:
        start = line[:17].lower()
        if start.startswith(b"daphne-root-path"):
            # Daphne would take the path of the application from it, whoever sends it.
            return True
        if start == b"transfer-encoding" and line[17:].strip(b": \t").lower() != b"chunked":
            # Twisted ignores "identity", and a proxy in front may not: they would disagree on the body's end.
            self._respondToBadRequestAndDisconnect()
            return False
        return super().headerReceived(line)

    def _respondToBadRequestAndDisconnect(self) -> None:
        if not self.refused:
            self.refuse(400, "bad_request", "The request is not valid HTTP.")

    def allHeadersReceived(self) -> None:
        if self.length is not None and self.length > self.limits.body_bytes:
            self.refuse_body()
            return
        self.setTimeout(self.limits.body_s)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self.refused:
            return
        self.crowd.is_served(self.transport)
        # Twisted suspends this limit while the application handles the request, and restores it after that.
        self.setTimeout(self.limits.idle_s)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        self.between = True
        super().requestDone(request)
        self.crowd.was_served(self.transport)

    # --- Backpressure --------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self.outlet.pauseProducing()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self.outlet.resumeProducing()

    def loseConnection(self) -> None:
        super().loseConnection()
        # Twisted sends the remaining data first. Without this it would wait for a stalled client for ever.
        self.outlet.watch()

    # --- Refusals ------------------------------------------------------------------------------

    def refuse_body(self) -> None:
        self.refuse(413, "body_too_large", f"The body is larger than {self.limits.body_bytes} bytes.")

    def refuse(self, status: int, code: str, message: str) -> None:
        """Respond in place of the application and close, before the rest of the request has arrived."""
        self.refused = True
        self._discarded = 0
        body = json.dumps({"detail": message, "message": message, "code": code}).encode()
        lines = [
            f"HTTP/1.1 {status} {phrase(status)}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(["Retry-After: 5"] if status == 503 else []),
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.loseWriteConnection()
        self.setTimeout(LINGER_S)
        log_access(path=getattr(self, "_path", b"").partition(b"?")[0], status=status, code=code)

    def rawDataReceived(self, data: bytes) -> None:
        if self.refused:
            self._discard(data)
        else:
            super().rawDataReceived(data)

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > max(LINGER_BYTES, self.limits.body_bytes):
            self.transport.pauseProducing()


class Request(WebRequest):
    """One HTTP request and its response."""

    def __init__(self, *args: Any, **kwargs: Any):
        # Django parses forms. Twisted would parse them first, and respond itself to malformed ones.
        super().__init__(*args, parsePOSTFormSubmission=False, **kwargs)
        self.outlet: Outlet = self.channel.outlet
        self.notes: dict[str, Any] = {}

    def handleContentChunk(self, data: bytes) -> None:
        if self.channel.refused:
            return
        if self.content.tell() + len(data) > self.channel.limits.body_bytes:
            self.channel.refuse_body()
        else:
            super().handleContentChunk(data)

    def process(self) -> Any:
        if self.server.draining:
            if self.requestHeaders.hasHeader(b"Upgrade"):
                self.channel.refuse(503, "shutting_down", "The server restarts; try again.")
                return None
            # Close after this response, so that the client sends its next request to another process.
            self.channel.persistent = False
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return super().process()

    def connectionLost(self, reason: Any) -> None:
        if self.application_queue and not self.finished:
            self.log(left=None if "failed" in self.notes else True)
        super().connectionLost(reason)

    def handle_exception(self, exception: Exception) -> None:
        """Handle an exception of the application.

        If the response has begun, abort the connection, so that no client takes the response for complete.
        """
        if self._response_started:
            self.notes["failed"] = True
            self.channel.transport.abortConnection()
        else:
            super().handle_exception(exception)

    def log(self, *, left: bool | None = None) -> None:
        """Write the access log line; ``left`` is True if the client left before the end."""
        request_id = self.responseHeaders.getRawHeaders(b"X-Request-ID", [b""])[0]
        log_access(
            method=self.method.decode("ascii", "backslashreplace"),
            path=self.path or b"",
            status=self.code if self.startedWriting else None,
            bytes=self.sentLength,
            ms=round(self.duration() * 1000),
            request=request_id.decode("ascii", "backslashreplace") or None,
            left=left,
            notes=self.notes,
        )

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """Set the status with its standard reason phrase. Twisted's own table has only older statuses."""
        super().setResponseCode(code, message or phrase(code).encode())


class Factory(HTTPFactory):
    """Creates a ``Channel`` with our ``Request`` for each connection."""

    protocol = Channel

    def __init__(self, server: Any):
        super().__init__(server)
        # The time limit of a new connection.
        self.timeOut = server.limits.header_s

    def buildProtocol(self, addr: Any) -> Any:
        channel = super().buildProtocol(addr)
        channel.requestFactory = Request
        return channel

    def log(self, request: Request) -> None:
        """Write our access log line in place of Twisted's, which costs more and is written nowhere."""
        request.log()
