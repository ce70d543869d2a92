"""The open connections of a server process: who may open another one, and who is dropped for it."""

from collections import Counter
from typing import Any

from chainhub.server.limits import Limits


class Crowd:
    """Counts connections, and knows which of them have no request in flight.

    A connection that says nothing costs its client nothing, so such connections must not keep others out.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self.transports: set[Any] = set()
        # Those without a request in flight; the one that has been silent longest comes first.
        self._waiting: dict[Any, None] = {}
        self._of_address: Counter[str] = Counter()

    def join(self, transport: Any) -> str:
        """Count a new connection. Returns why it is refused, "" where it is not.

        Where the server is full, the connection that has been silent longest is dropped for it.
        """
        address = transport.getPeer().host
        self.transports.add(transport)
        self._waiting[transport] = None
        self._of_address[address] += 1
        most_of_one = self.limits.connections_of_address
        if most_of_one and self._of_address[address] > most_of_one and not self.limits.trusts(address):
            return "Your address has too many connections."
        if len(self.transports) > self.limits.connections:
            silent = next(iter(self._waiting))
            if silent is transport:
                return "The server has too many connections."
            del self._waiting[silent]
            silent.abortConnection()
        return ""

    def leave(self, transport: Any) -> None:
        if transport in self.transports:
            self.transports.discard(transport)
            self._waiting.pop(transport, None)
            address = transport.getPeer().host
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def said_something(self, transport: Any) -> None:
        if transport in self._waiting:
            del self._waiting[transport]
            self._waiting[transport] = None

    def is_served(self, transport: Any) -> None:
        """The connection has a request in flight from now on, or is a WebSocket: it is never dropped."""
        self._waiting.pop(transport, None)

    def was_served(self, transport: Any) -> None:
        if transport in self.transports:
            self._waiting[transport] = None
