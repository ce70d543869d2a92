"""The load: cheap HTTP/1.1 and WebSocket clients, and their results."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.asyncio.client import connect

DATA = b"event: data"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The result of one request: times in seconds from the request; ``chunks`` is the number in a stream."""

    ok: bool
    first_s: float
    total_s: float
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """The address of a server under test, and the headers and the cookie of every request to it."""

    port: int
    headers: str = ""
    cookie: str = ""


class Connection:
    """A connection that is used for many requests."""

    def __init__(self, target: Target):
        self.target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: dict) -> Seen:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.target.port)
        reader, writer = self._streams
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"{self.target.headers}Content-Length: {len(data)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + data)
        status = await reader.readuntil(b"\r\n\r\n")
        ok = status.startswith(b"HTTP/1.1 200")
        lowered = status.lower()
        if b"content-length:" in lowered:
            length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            now = time.perf_counter() - began
            return Seen(ok=ok, first_s=now, total_s=now, chunks=0)
        chunks, first, ended = 0, 0.0, False
        while (size := int(await reader.readline(), 16)) > 0:
            piece = await reader.readexactly(size + 2)
            chunks += piece.count(DATA)
            ended = ended or b"event: end" in piece
            if chunks and not first:
                first = time.perf_counter() - began
        await reader.readline()
        return Seen(ok=ok and ended, first_s=first, total_s=time.perf_counter() - began, chunks=chunks)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def many(target: Target, path: str, body: dict, *, count: int, at_once: int) -> list[Seen]:
    """Send ``count`` requests over ``at_once`` persistent connections."""
    left = iter(range(count))

    async def worker() -> list[Seen]:
        connection = Connection(target)
        try:
            return [await connection.post(path, body) for _ in left]
        finally:
            connection.close()

    return [seen for some in await asyncio.gather(*(worker() for _ in range(at_once))) for seen in some]


async def many_runs(target: Target, path: str, value: dict, *, count: int, at_once: int) -> list[Seen]:
    """Do the same over WebSockets. Each of them runs the chain many times."""
    left = iter(range(count))

    async def worker() -> list[Seen]:
        origin = f"http://127.0.0.1:{target.port}"
        url = f"ws://127.0.0.1:{target.port}{path}"
        async with connect(url, origin=origin, additional_headers={"Cookie": target.cookie}) as socket:  # type: ignore[arg-type]
            return [await one_run(socket.send, socket.recv, value) for _ in left]

    return [seen for some in await asyncio.gather(*(worker() for _ in range(at_once))) for seen in some]


async def one_run(
    send: Callable[[str], Awaitable[None]], receive: Callable[[], Awaitable], value: dict
) -> Seen:
    began = time.perf_counter()
    await send(json.dumps({"type": "start", "input": value}))
    chunks, first = 0, 0.0
    while True:
        message = await receive()
        if '"chunk"' in message[:20]:
            chunks += 1
            first = first or time.perf_counter() - began
        elif '"finished"' in message[:24] or '"failed"' in message[:24] or '"error"' in message[:24]:
            ok = '"finished"' in message[:24]
            return Seen(ok=ok, first_s=first, total_s=time.perf_counter() - began, chunks=chunks)
