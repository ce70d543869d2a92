"""``tests.faults.flood`` in a process of its own, and what its clients send and read."""

import contextlib
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import answers

MB = 1024 * 1024
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
STREAM = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(kw_only=True)
class Flood:
    """The process; ``skip`` is the length of its log before the test."""

    port: int
    process: subprocess.Popen
    log: Path
    skip: int = 0

    def connect(self, *, buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        return client

    def answers(self) -> bool:
        return answers(f"http://127.0.0.1:{self.port}/")

    def said(self, line: str) -> int:
        return self.text().splitlines().count(line)

    def text(self) -> str:
        return self.log.read_text()[self.skip :]

    def access(self) -> list[str]:
        """The lines of the access log, without the time that it took."""
        lines = re.findall(r"^chainhub.access INFO (.*)$", self.text(), re.MULTILINE)
        return [re.sub(r"ms=\d+", "ms=N", line) for line in lines]

    def is_alone(self) -> bool:
        """Whether every client of an earlier test has left it."""
        text = self.log.read_text()
        return text.count("/stream\n") + text.count("/ws\n") <= text.count("left\n") + text.count("all\n")

    def memory(self, field: str = "VmRSS") -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))

    @contextlib.contextmanager
    def rises_less_than(self, limit: int):
        """Its memory, at its peak within the block."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        before = self.memory()
        yield
        rise = self.memory("VmHWM") - before
        print(f"memory rose by {rise / MB:.1f} MB")
        assert rise < limit


def read_all(client: socket.socket) -> bytes:
    """Until the other side closes or resets."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
    return data
