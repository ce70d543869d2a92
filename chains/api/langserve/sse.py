"""Server-sent events in the framing of LangServe's streams.

CRLF line ends, ``event`` before ``data``, no ``id``; a bare ``end``; ``error`` with the status that the
answer would have had. ``metadata`` comes once, just before the first chunk, and never among inner
steps: the Python client logs an error for it there. JSON is ASCII-escaped,
because the Python client splits lines at U+2028 and U+0085 too. An ``error`` comes a moment after the
data before it: the JavaScript client throws away what it has not read by then.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone

from chains.actions.runs.stream import RunStream
from chains.api.errors import problem_of, run_body
from chains.runtime.events import Chunk, Failed, Finished, Inner

# Between the last data and an error: time for a client to read what it received.
ERROR_PAUSE_S = 0.05


class RunStreamResponse(StreamingHttpResponse):
    """The run as an event stream; a client that leaves cancels it.

    Django closes a response whose client has left, even while its generator waits at a ``yield``,
    where nothing else would tell the generator before it is garbage-collected.
    """

    def __init__(self, stream: RunStream, *, shows: type[Chunk | Inner], **kwargs: Any):
        super().__init__(
            frames(stream, shows=shows), content_type="text/event-stream; charset=utf-8", **kwargs
        )
        self.headers["Cache-Control"] = "no-cache"
        self.headers["X-Accel-Buffering"] = "no"
        self._stream = stream

    def close(self) -> None:
        self._stream.cancel()
        super().close()


async def frames(stream: RunStream, *, shows: type[Chunk | Inner]) -> AsyncIterator[bytes]:
    """The run's chunks or its inner steps encoded; a comment where nothing happens for a while.

    What is there at the same time goes out in one piece.
    """
    opened, ended = shows is Inner, False
    told_at = float("-inf")
    try:
        while not ended:
            try:
                async with asyncio.timeout(settings.SSE_PING_SECONDS):
                    first = await anext(stream)
            except TimeoutError:
                yield f": ping - {timezone.now().isoformat()}\r\n\r\n".encode()
                continue
            piece = b""
            for event in (first, *stream.waiting()):
                if isinstance(event, shows):
                    if not opened:
                        opened = True
                        piece += frame("metadata", json.dumps({"run_id": str(stream.run_id)}))
                    piece += frame("data", compact(event.value))
                    told_at = time.monotonic()
                elif isinstance(event, Finished):
                    ended = True
                    piece += b"event: end\r\n\r\n"
                elif isinstance(event, Failed):
                    ended = True
                    if piece:
                        yield piece
                    await asyncio.sleep(max(0, told_at + ERROR_PAUSE_S - time.monotonic()))
                    problem = problem_of(event.error)
                    body = {"status_code": problem.status, **run_body(problem), "run_id": str(stream.run_id)}
                    piece = frame("error", json.dumps(body))
            if piece:
                yield piece
    finally:
        # Django does not close a response whose body raises. After the end of the run this does nothing.
        stream.cancel()


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def frame(event: str, data: str) -> bytes:
    return f"event: {event}\r\ndata: {data}\r\n\r\n".encode()
