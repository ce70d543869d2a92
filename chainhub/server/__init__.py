"""The production server: daphne with limits and a graceful shutdown.

Daphne itself buffers everything that a client sends or does not read, and aborts streams on SIGTERM. The
parts of daphne, Twisted and autobahn that this code depends on are listed in tests/faults/test_internals.py.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from daphne.server import Server as DaphneServer
from daphne.server import reactor
from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner

from chainhub.server.acceptor import Acceptor
from chainhub.server.access import NOTES
from chainhub.server.crowd import Crowd
from chainhub.server.http import Channel, Factory, Request
from chainhub.server.limits import Limits
from chainhub.server.processes import Lifeline
from chainhub.server.signals import StopSignals
from chainhub.server.websocket import Socket, SocketFactory

logger = logging.getLogger(__name__)

# Seconds after the drain: first for the interrupted runs to send and record their end, then for data that
# is still unsent. Together with the drain this fits into the 30 seconds after which many hosts kill.
LAST_WORDS_S, FLUSH_S = 3.0, 0.5
POLL_S = 0.05
# autobahn applies this limit to outgoing messages too, so a complete answer has to fit into it.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024


async def nothing() -> None:
    pass


def do_nothing() -> None:
    pass


class Server(DaphneServer):
    """Serves ``listening`` until the process is asked to stop.

    ``busy`` returns whether runs are in progress. ``interrupt`` interrupts them and waits until they have
    ended. ``on_drain`` is called when the process begins to stop. ``lifeline`` connects this worker to
    its supervisor; it is None if there is only one process.
    """

    def __init__(
        self,
        *,
        listening: socket.socket,
        limits: Limits,
        lifeline: Lifeline | None = None,
        busy: Callable[[], bool] = lambda: False,
        interrupt: Callable[[], Awaitable[None]] = nothing,
        on_drain: Callable[[], None] = lambda: None,
        **options: Any,
    ):
        super().__init__(
            websocket_max_message_size=max(MAX_MESSAGE_BYTES, limits.frame_bytes),
            websocket_max_frame_size=limits.frame_bytes,
            # Daphne passes the body on in one message. The limit of the body keeps that small enough.
            request_buffer_size=limits.body_bytes + 1,
            server_name="",
            # Daphne requires an endpoint, but this server uses the socket that listens already.
            endpoints=["none"],
            **options,
        )
        self.limits, self.lifeline = limits, lifeline
        self.acceptor = Acceptor(
            listening, shared=lifeline is not None, take=self._take, load=lambda: len(self.crowd.transports)
        )
        self.busy, self.interrupt, self.on_drain = busy, interrupt, on_drain
        self.draining = self.hurried = False
        self.crowd = Crowd(limits)

    def run(self) -> None:
        """Serve until asked to stop.

        This replaces daphne's ``run``, which always uses daphne's own factories.
        """
        self.connections: dict[Any, dict[str, Any]] = {}
        self.http_factory = Factory(self)
        self.ws_factory = SocketFactory(self, server=self.server_name)
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
            # Close with a reason (1009) instead of dropping the connection.
            failByDrop=False,
        )
        globalLogBeginner.beginLoggingTo([log_failure], redirectStandardIO=False, discardBuffer=True)
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        loop = reactor._asyncioEventloop
        asyncio.set_event_loop(loop)
        self.acceptor.start(loop)
        hurry = self._hurry
        if self.lifeline is not None:
            self.lifeline.listen(loop, stop=self.stop, hurry=hurry)
            loop.call_soon(self.lifeline.say_ready)
            # Only the supervisor asks a worker to hurry. A second signal does not mean that here, because
            # hosts may send their one signal to every process.
            hurry = do_nothing
        # Twisted's own signal handlers raise at a second signal.
        StopSignals(loop, stop=self.stop, hurry=hurry).listen()
        if self.ready_callable is not None:
            loop.call_soon(self.ready_callable)
        # Before it shuts down, Twisted waits for the Deferred that this trigger returns.
        reactor.addSystemEventTrigger("before", "shutdown", self._start_drain)
        reactor.run(installSignalHandlers=False)

    def _take(self, connection: socket.socket, address: Any) -> None:
        """Handle an accepted connection as Twisted's own port does."""
        kind = IPv6Address if connection.family == socket.AF_INET6 else IPv4Address
        protocol = self.http_factory.buildProtocol(kind("TCP", *address))
        protocol.makeConnection(tcp.Server(connection, protocol, address, None, 0, reactor))

    def stop(self) -> None:
        """Begin the shutdown, unless it has begun already."""
        if not self.draining:
            self.draining = True
            reactor.stop()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        inbox = super().create_application(protocol, scope | {NOTES: protocol.notes})
        if inbox is not None:
            application = self.connections[protocol]["application_instance"]
            application.add_done_callback(partial(self._application_ended, protocol))
        return inbox

    def _application_ended(self, protocol: Any, application: "asyncio.Future[None]") -> None:
        """Send an error to the client if the application raised; the application has logged it already.

        Daphne's own check runs only once a second and logs the exception again. If the response has
        already begun, that check raises and never runs again. So this method removes the application
        before daphne's check sees it.
        """
        details = self.connections.get(protocol, {"disconnected": 0})
        details.pop("application_instance", None)
        error = None if application.cancelled() else application.exception()
        if error is not None and "disconnected" not in details:
            protocol.handle_exception(error)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """The application's ``send``. It waits while too much data for the client is unsent."""
        await super().handle_reply(protocol, message)
        await protocol.outlet.room()
        if "disconnected" in self.connections.get(protocol, {"disconnected": 0}):
            # The client has left. Let the event loop run, so that an application that goes on sending
            # can receive the disconnect message.
            await asyncio.sleep(0)

    # --- The end -------------------------------------------------------------------------------

    def _start_drain(self) -> "Deferred[None]":
        return Deferred.fromFuture(asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        """Accept nothing new, let requests and runs finish within the limit, then interrupt the rest."""
        logger.info("Stopping: what runs may finish within %s s", self.limits.drain_s)
        self.on_drain()
        self.acceptor.stop()
        await self._until(lambda: not self._under_way(), self.limits.drain_s)
        self.hurried = False
        interrupting = asyncio.ensure_future(self.interrupt())
        await self._until(lambda: interrupting.done() and not self._under_way(), LAST_WORDS_S)
        # Give the WebSocket consumers a moment to send the end of their runs to the clients.
        await asyncio.sleep(0.1)
        self._say_goodbye()
        await self._until(lambda: not self.crowd.transports, FLUSH_S)
        await self._cancel_applications()

    def _hurry(self) -> None:
        """The second request to stop: do not wait any longer."""
        self.hurried = True

    async def _until(self, happened: Callable[[], bool], limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while not happened() and not self.hurried and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    def _requests(self) -> list[Request]:
        channels = [t.protocol for t in self.crowd.transports if isinstance(t.protocol, Channel)]
        return [request for channel in channels if not channel.refused for request in channel.requests]

    def _under_way(self) -> bool:
        return self.busy() or bool(self._requests())

    def _say_goodbye(self) -> None:
        for transport in list(self.crowd.transports):
            if isinstance(transport.protocol, Socket):
                transport.protocol.say_goodbye()
            else:
                transport.protocol.loseConnection()

    async def _cancel_applications(self) -> None:
        details = self.connections.values()
        applications = [each["application_instance"] for each in details if "application_instance" in each]
        for application in applications:
            application.cancel()
        if applications:
            await asyncio.wait(applications, timeout=FLUSH_S)


def log_failure(event: dict[str, Any]) -> None:
    """Log the exceptions that Twisted catches; without this, nobody would see them."""
    if failure := event.get("log_failure"):
        logger.error("Unexpected: %s", failure.getTraceback())
