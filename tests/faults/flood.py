"""A process of its own with our server and a tiny application: no chain, no Django, no database.

    python -m tests.faults.flood PORT '{"stall_s": 1}'

It prints a line for every request, and when a client that it floods has left or got all.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from chainhub.server import Server
from chainhub.server.limits import Limits
from chainhub.server.processes import listen

PIECE = b"x" * 20_000
PIECES = 10_000  # 200 MB
DEFAULTS = {
    "body_bytes": 1024 * 1024,
    "frame_bytes": 64 * 1024,
    "connections": 1000,
    "header_s": 15,
    "body_s": 30,
    "idle_s": 75,
    "stall_s": 30,
    "drain_s": 25,
}


def say(text: str) -> None:
    print(text, flush=True)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    say(f"{scope['type']} {scope['path']}")
    scope["chainhub.notes"]["user"] = "alice"
    if scope["type"] == "http":
        await ANSWERS[scope["path"]](receive, send)
    elif scope["path"] == "/deaf":
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(3600)
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await flood(receive, send, {"type": "websocket.send", "bytes": PIECE})
        await send({"type": "websocket.close"})


async def flood(receive: Any, send: Any, message: dict[str, Any]) -> None:
    """Until all is sent or the client has left."""

    async def pieces() -> None:
        for _ in range(PIECES):
            await send(message)
        say("all")

    async def departure() -> None:
        while "disconnect" not in (await receive())["type"]:
            pass
        say("left")

    tasks = [asyncio.create_task(pieces()), asyncio.create_task(departure())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def hello(receive: Any, send: Any) -> None:
    size, message = 0, {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        size += len(message.get("body", b""))
    await start(send, 200)
    await send({"type": "http.response.body", "body": f"{size} bytes".encode()})


async def stream(receive: Any, send: Any) -> None:
    await start(send, 200)
    await flood(receive, send, {"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body"})


def status(code: int) -> Any:
    async def answer(receive: Any, send: Any) -> None:
        await start(send, code)
        await send({"type": "http.response.body"})

    return answer


async def start(send: Any, code: int) -> None:
    headers = [(b"x-request-id", b"id-1")]
    await send({"type": "http.response.start", "status": code, "headers": headers})


ANSWERS = {"/": hello, "/healthz": hello, "/stream": stream} | {
    f"/{code}": status(code) for code in (413, 422, 499, 599)
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    limits = DEFAULTS | json.loads(sys.argv[2])
    proxies = limits.pop("proxies", ["127.0.0.1"])
    Server(
        application=application,
        listening=listen("127.0.0.1", int(sys.argv[1]), backlog=512),
        limits=Limits(**limits, trusts=lambda address: address in proxies),
    ).run()
