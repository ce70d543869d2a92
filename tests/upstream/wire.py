"""What arrives at the scripted provider, and the writing side of what it answers."""

import asyncio
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

REASONS = {200: "OK", 302: "Found", 307: "Temporary Redirect", 429: "Too Many Requests"}


Framing = Literal["chunked", "length", "close"]
"""How the end of a body is told: by chunks, by its announced length, or by closing the connection."""
Ending = Literal["clean", "cut", "held"]
"""How a body ends: as announced, by a connection that closes before, or not at all."""


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came in; `at` is monotonic time, to measure pauses between tries."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def key(self) -> str:
        """The bearer key that was sent, empty without one."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def stream(self) -> bool:
        """Whether the answer was asked for as server-sent events."""
        return isinstance(self.body, dict) and self.body.get("stream") is True


class Reply:
    """The writing side of one answer: a plain body, or chunks of an event stream."""

    def __init__(self, writer: asyncio.StreamWriter, number: int) -> None:
        self._writer = writer
        self.number = number
        self.keep_alive = True

    async def plain(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        announce: int | None = None,
    ) -> None:
        """A whole answer; `announce` states another length than the body has."""
        length = len(body) if announce is None else announce
        more = {"content-length": str(length), **(headers or {})}
        await self._write(self._head(status, content_type, more) + body)

    async def open_stream(self) -> None:
        """The head of an event stream."""
        more = {"cache-control": "no-cache", "transfer-encoding": "chunked"}
        await self._write(self._head(200, "text/event-stream; charset=utf-8", more))

    async def raw(
        self,
        parts: Sequence[bytes | float],
        *,
        status: int,
        content_type: str | None,
        headers: Mapping[str, str],
        framing: Framing,
        ending: Ending,
    ) -> None:
        """These bytes, in parts, with pauses in seconds between them."""
        whole = b"".join(part for part in parts if isinstance(part, bytes))
        more = dict(headers)
        if framing == "chunked":
            more["transfer-encoding"] = "chunked"
        elif framing == "length":
            more["content-length"] = str(len(whole))
        else:
            more["connection"] = "close"
        self.keep_alive = framing != "close" and ending == "clean"
        await self._write(self._head(status, content_type, more))
        for part in parts:
            if isinstance(part, bytes):
                await self._write(b"%x\r\n%s\r\n" % (len(part), part) if framing == "chunked" else part)
            else:
                await asyncio.sleep(part)
        if ending == "held":
            await asyncio.get_running_loop().create_future()
        if ending == "clean" and framing == "chunked":
            await self._write(b"0\r\n\r\n")

    async def event(self, data: str, name: str = "") -> None:
        """One `data:` event, which may have a name."""
        named = f"event: {name}\n" if name else ""
        await self._write(self._chunk(f"{named}data: {data}\n\n"))

    async def comment(self) -> None:
        """A line that keeps the connection alive and says nothing."""
        await self._write(self._chunk(": keep-alive\n\n"))

    async def end_stream(self, done: bool = True) -> None:
        """The end of the body, with or without the `[DONE]` that closes a whole answer."""
        # In one write: a client may leave as soon as it has read [DONE], its answer is whole then.
        await self._write((self._chunk("data: [DONE]\n\n") if done else b"") + b"0\r\n\r\n")

    async def hang_up(self, reset: bool, inside: str | None = None) -> None:
        """Close the connection from this side, if `inside` is given in the middle of that event."""
        self.keep_alive = False
        if inside is not None:
            whole = self._chunk(f"data: {inside}\n\n")
            await self._write(whole[: len(whole) // 2])
        if reset:
            # A reset may overtake what was written before it; the client shall read that first.
            await asyncio.sleep(0.02)
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()

    def _head(self, status: int, content_type: str | None, headers: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"x-request-id: req_{self.number}"]
        lines += [f"content-type: {content_type}"] if content_type else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @staticmethod
    def _chunk(text: str) -> bytes:
        data = text.encode()
        return b"%x\r\n%s\r\n" % (len(data), data)

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
