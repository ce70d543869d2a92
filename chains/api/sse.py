"""Server-sent events in the framing of LangServe's ``stream``.

CRLF line ends, ``event`` before ``data``, no ``id``; ``metadata`` once, just before the first chunk;
a bare ``end``; ``error`` with the status that the answer would have had. JSON is ASCII-escaped,
because the Python client splits lines at U+2028 and U+0085 too.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone

from chains.actions.runs import RunStream
from chains.api.errors import problem_of, run_body
from chains.runtime.events import Chunk, Failed, Finished
from chains.runtime.values import encode


class RunStreamResponse(StreamingHttpResponse):
    """The run as an event stream; a client that leaves cancels it.

    Django closes a response whose client has left, even while its generator waits at a ``yield``,
    where nothing else would tell the generator before it is garbage-collected.
    """

    def __init__(self, stream: RunStream, **kwargs: Any):
        super().__init__(frames(stream), content_type="text/event-stream; charset=utf-8", **kwargs)
        self.headers["Cache-Control"] = "no-cache"
        self.headers["X-Accel-Buffering"] = "no"
        self._stream = stream

    def close(self) -> None:
        self._stream.cancel()
        super().close()


async def frames(stream: RunStream) -> AsyncIterator[bytes]:
    """The run's events encoded; a comment where nothing happens for a while."""
    opened = False
    while True:
        try:
            async with asyncio.timeout(settings.SSE_PING_SECONDS):
                event = await anext(stream)
        except TimeoutError:
            yield f": ping - {timezone.now().isoformat()}\r\n\r\n".encode()
            continue
        if isinstance(event, Chunk):
            if not opened:
                opened = True
                yield frame("metadata", json.dumps({"run_id": str(stream.run_id)}))
            yield frame("data", compact(encode(event.value)))
        elif isinstance(event, Finished):
            yield b"event: end\r\n\r\n"
            return
        elif isinstance(event, Failed):
            problem = problem_of(event.error)
            body = {"status_code": problem.status, **run_body(problem), "run_id": str(stream.run_id)}
            yield frame("error", json.dumps(body))
            return


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def frame(event: str, data: str) -> bytes:
    return f"event: {event}\r\ndata: {data}\r\n\r\n".encode()
