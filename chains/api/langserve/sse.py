"""Server-sent events in the framing of LangServe's streams.

Lines end with CRLF. A frame has ``event`` before ``data`` and no ``id``; the ``end`` frame has no data. An
``error`` frame has the status code that a complete response would have had. ``metadata`` is sent once, just
before the first chunk. It is never sent in streams of inner steps, where the Python client logs an error
for it. JSON is ASCII-escaped, because the Python client also splits lines at U+2028 and U+0085. An ``error``
is sent a moment after the data before it, because the JavaScript client drops data that it has not read
when an error arrives.
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

# The pause between the last data and an error, in which a client reads what it has received.
ERROR_PAUSE_S = 0.05


class RunStreamResponse(StreamingHttpResponse):
    """The response that streams a run. A client that disconnects cancels the run.

    Django calls ``close`` when the client has disconnected, even while the generator waits at a ``yield``.
    The generator itself would not notice this before it is garbage-collected.
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
    """Encode the run's chunks, or the events of its inner steps if ``shows`` is ``Inner``.

    Yields a comment when nothing has happened for SSE_PING_SECONDS. Events that are available at the same
    time are yielded together.
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
