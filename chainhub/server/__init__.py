"""The production server: daphne within limits, and with an orderly end.

Daphne itself buffers whatever a client sends or does not take, and cuts streams on SIGTERM. The
parts of daphne, Twisted and autobahn that this leans on are listed in tests/faults/test_internals.py.
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
from chainhub.server.http import Channel, Factory, Request
from chainhub.server.limits import Limits
from chainhub.server.processes import Lifeline
from chainhub.server.signals import StopSignals
from chainhub.server.websocket import Socket, SocketFactory

logger = logging.getLogger(__name__)

# After the drain: for the interrupted runs' last words, and for what is still unsent. A host that
# grants 30 seconds kills then.
LAST_WORDS_S, FLUSH_S = 3.0, 0.5
POLL_S = 0.05
# autobahn holds outgoing messages to the same limit: a whole answer has to fit.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024


async def nothing() -> None:
    pass


def do_nothing() -> None:
    pass


class Server(DaphneServer):
    """``busy`` tells whether runs are under way, ``interrupt`` ends them and waits for that.

    ``on_drain`` is called when the process has been told to stop. A worker of several has a ``lifeline``.
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
            websocket_max_message_size=MAX_MESSAGE_BYTES,
            websocket_max_frame_size=limits.frame_bytes,
            # A body in one piece, as it is small enough to be read whole.
            request_buffer_size=limits.body_bytes + 1,
            server_name="",
            # Daphne insists on one; the listening socket is there already.
            endpoints=["none"],
            **options,
        )
        self.limits, self.lifeline = limits, lifeline
        self.acceptor = Acceptor(
            listening, shared=lifeline is not None, take=self._take, load=lambda: len(self.transports)
        )
        self.busy, self.interrupt, self.on_drain = busy, interrupt, on_drain
        self.draining = self.hurried = False
        self.transports: set[Any] = set()

    def run(self) -> None:
        """Serve until told to stop. Daphne's own ``run`` names its factories, hence this one."""
        self.connections: dict[Any, dict[str, Any]] = {}
        self.http_factory = Factory(self)
        self.ws_factory = SocketFactory(self, server=self.server_name)
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
            # Say why (1009) rather than hang up.
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
            # A worker hears of haste from its supervisor: a host may send its one signal to every process.
            hurry = do_nothing
        # Twisted's own handlers fail at a second signal.
        StopSignals(loop, stop=self.stop, hurry=hurry).listen()
        if self.ready_callable is not None:
            loop.call_soon(self.ready_callable)
        # Twisted waits for a Deferred that comes from a trigger before its shutdown.
        reactor.addSystemEventTrigger("before", "shutdown", self._start_drain)
        reactor.run(installSignalHandlers=False)

    def _take(self, connection: socket.socket, address: Any) -> None:
        """What Twisted's own port does with a connection that it has accepted."""
        kind = IPv6Address if connection.family == socket.AF_INET6 else IPv4Address
        protocol = self.http_factory.buildProtocol(kind("TCP", *address))
        protocol.makeConnection(tcp.Server(connection, protocol, address, None, 0, reactor))

    def stop(self) -> None:
        """Begin to end, unless that has begun."""
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
        """What it raised, it has logged itself: all that is left to do is to tell the client.

        Daphne looks once a second, logs it again, and fails for good at an answer that has begun.
        """
        details = self.connections.get(protocol, {"disconnected": 0})
        details.pop("application_instance", None)
        error = None if application.cancelled() else application.exception()
        if error is not None and "disconnected" not in details:
            protocol.handle_exception(error)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """The application's ``send``: it waits while the client has too much to take already."""
        await super().handle_reply(protocol, message)
        await protocol.outlet.room()
        if "disconnected" in self.connections.get(protocol, {"disconnected": 0}):
            # An application that goes on sending gets the chance to hear that nobody listens.
            await asyncio.sleep(0)

    # --- The end -------------------------------------------------------------------------------

    def _start_drain(self) -> "Deferred[None]":
        return Deferred.fromFuture(asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        """Take nothing new, let what runs finish, then interrupt it."""
        logger.info("Stopping: what runs may finish within %s s", self.limits.drain_s)
        self.on_drain()
        self.acceptor.stop()
        await self._until(lambda: not self._under_way(), self.limits.drain_s)
        self.hurried = False
        interrupting = asyncio.ensure_future(self.interrupt())
        await self._until(lambda: interrupting.done() and not self._under_way(), LAST_WORDS_S)
        # A few turns, in which the sockets' readers pass the end on to their clients.
        await asyncio.sleep(0.1)
        self._say_goodbye()
        await self._until(lambda: not self.transports, FLUSH_S)
        await self._cancel_applications()

    def _hurry(self) -> None:
        """Told to stop once more: whoever says so does not want to wait."""
        self.hurried = True

    async def _until(self, happened: Callable[[], bool], limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while not happened() and not self.hurried and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    def _requests(self) -> list[Request]:
        channels = [t.protocol for t in self.transports if isinstance(t.protocol, Channel)]
        return [request for channel in channels if not channel.refused for request in channel.requests]

    def _under_way(self) -> bool:
        return self.busy() or bool(self._requests())

    def _say_goodbye(self) -> None:
        for transport in list(self.transports):
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
    """What Twisted catches would else be told to nobody."""
    if failure := event.get("log_failure"):
        logger.error("Unexpected: %s", failure.getTraceback())
