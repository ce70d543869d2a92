"""The server of the scripted provider."""

import asyncio
import json
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Self

from tests.upstream import anthropic
from tests.upstream.behaviours import Behaviour, answers, fails, lists
from tests.upstream.wire import ReceivedRequest, Reply

logger = logging.getLogger(__name__)

# At any host, since a proxy gets the whole address, and with any query: OpenAI's addresses and Azure's, which
# are those of a deployment, of the v1 API and of Foundry's models.
COMPLETIONS = re.compile(
    r"(/v1/([\w/-]+/)?|/openai/deployments/[^/?]+/|/models/|/own/)(chat/completions|responses)(\?.*)?$"
)
MESSAGES = re.compile(r"/v1/messages(\?.*)?$")
# What is answered where nothing is scripted, by the path.
USUAL: dict[re.Pattern, Callable[[], Behaviour]] = {COMPLETIONS: answers, MESSAGES: anthropic.says}


class _WatchedReader(asyncio.StreamReader):
    """A reader that tells at once when the client has left, without taking bytes off the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class Upstream:
    """The server, in a thread with a loop of its own, so that it outlives the loop of a test."""

    def __init__(self) -> None:
        self.url = self.base_url = ""
        self.requests: list[ReceivedRequest] = []
        self.models: list[str] | Behaviour | None = None
        self.disconnects = 0
        self.active = 0
        self._script: deque[Behaviour] = deque()
        self._numbers = 0
        self._answering: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen on a free port of the loopback address."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._thread.start()
        port = self._run(self._listen())
        self.url = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.url}/v1"
        return self

    def stop(self) -> None:
        """Drop every connection and end the thread; a second call does nothing."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def script(self, *behaviours: Behaviour) -> None:
        """Answer the next requests so, in this order; after them `answers()` again, or `anthropic.says()`."""
        self._script.extend(behaviours)

    def reset(self) -> None:
        """Forget everything and drop the answers under way, uncounted; idle connections stay."""
        self._run(self._forget())

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 5.0) -> bool:
        """Poll until it holds. For sync tests: it would block the client of an async one."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True

    async def wait_for_async(
        self,
        predicate: Callable[[], bool],
        timeout: float = 5.0,  # noqa: ASYNC109 - its end is an answer here, not an exception
    ) -> bool:
        """Poll until it holds, while the test's own loop goes on."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.005)
        return True

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None, "the server is not started"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self) -> int:
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_WatchedReader(), self._serve, loop=loop)

        self._server = await loop.create_server(connection, "127.0.0.1", 0, backlog=1024)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        await self._cancel(asyncio.all_tasks() - {asyncio.current_task()})

    async def _forget(self) -> None:
        await self._cancel(set(self._answering))
        self.requests.clear()
        self._script.clear()
        self.models = None
        self.disconnects = 0

    @staticmethod
    async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests one after another."""
        assert isinstance(reader, _WatchedReader)
        # drain() shall wait until everything is sent, or a lost end would count as an answer.
        writer.transport.set_write_buffer_limits(0)
        try:
            while (request := await self._read(reader)) is not None:
                if not await self._answer(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # left between two requests, or inside one: no answer was owed
        except asyncio.CancelledError:
            # Dropped by stop() or reset(). The task ends here; passed on, asyncio would report it.
            writer.transport.abort()
        finally:
            writer.close()

    async def _read(self, reader: _WatchedReader) -> ReceivedRequest | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, path, _version = first.split(" ")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        return ReceivedRequest(method, path, headers, body)

    async def _answer(
        self, request: ReceivedRequest, reader: _WatchedReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection serves another request after this one."""
        self._numbers += 1
        reply = Reply(writer, self._numbers)
        # Counted first: who has seen the request in the list finds its answer under way.
        self.active += 1
        self.requests.append(request)
        me = asyncio.current_task()
        assert me is not None
        self._answering.add(me)
        play = asyncio.create_task(self._choose(request).play(request, reply))
        gone = asyncio.create_task(reader.gone.wait())
        try:
            await asyncio.wait({play, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not play.done():
                self.disconnects += 1
                return False
            play.result()
        except ConnectionError:
            self.disconnects += 1
            return False
        except Exception:
            logger.exception("the scripted behaviour failed")
            return False
        finally:
            play.cancel()
            gone.cancel()
            self._answering.discard(me)
            self.active -= 1
        return reply.keep_alive and request.headers.get("connection", "").lower() != "close"

    def _choose(self, request: ReceivedRequest) -> Behaviour:
        if (request.method, request.path) == ("GET", "/v1/models") and self.models is not None:
            return lists(self.models) if isinstance(self.models, list) else self.models
        usual = next((usual for path, usual in USUAL.items() if path.search(request.path)), None)
        if request.method != "POST" or usual is None:
            return fails(404, f"Invalid URL ({request.method} {request.path})", "unknown_url")
        if not isinstance(request.body, dict):
            return fails(400, "We could not parse the JSON body of your request.", "invalid_json")
        try:
            return self._script.popleft()
        except IndexError:
            return usual()
