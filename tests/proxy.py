"""A reverse proxy that mounts a server under a path."""

import socket
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy(ThreadingTCPServer):
    """Serves what is below ``prefix`` from ``target`` (a port on loopback), and nothing else.

    ``strips``: the target gets addresses without the prefix.
    """

    allow_reuse_address = daemon_threads = True

    def __init__(self, *, prefix: str, strips: bool):
        super().__init__(("127.0.0.1", 0), Connection)
        self.prefix, self.strips, self.target = prefix, strips, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Connection(StreamRequestHandler):
    """One request, or one WebSocket."""

    server: Proxy

    def handle(self) -> None:
        method, address, version = self.rfile.readline().decode("latin-1").split()
        if not (address == self.server.prefix or address.startswith(f"{self.server.prefix}/")):
            self.wfile.write(NOT_FOUND)
            return
        if self.server.strips:
            address = "/" + address.removeprefix(self.server.prefix).lstrip("/")
        head = [f"{method} {address} {version}\r\n".encode("latin-1"), *self._headers()]
        with socket.create_connection(("127.0.0.1", self.server.target)) as upstream:
            upstream.sendall(b"".join(head))
            threading.Thread(target=self._pass_on, args=(upstream,), daemon=True).start()
            while data := upstream.recv(65_536):
                self.wfile.write(data)

    def _headers(self) -> list[bytes]:
        """The headers, with which only a WebSocket keeps its connection."""
        lines = list(iter(self.rfile.readline, b"\r\n"))
        if not any(line.lower().startswith(b"upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith(b"connection:")]
            lines.append(b"Connection: close\r\n")
        return [*lines, b"\r\n"]

    def _pass_on(self, upstream: socket.socket) -> None:
        try:
            while data := self.rfile.read1(65_536):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass  # Either side has left.
