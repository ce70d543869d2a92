"""A scripted model provider on loopback: OpenAI's chat completions over real HTTP, faults included.

The wire format is the one of the OpenAI API reference: "Create chat completion", its streamed
`chat.completion.chunk` events and its error object. Only what clients of ChainHub's chains
see is spoken: text answers, usage, errors; no tool calls, no other paths.

    with Upstream() as upstream:
        upstream.script(rate_limited(retry_after="1"), answers(text="Second try"))
        model = ChatOpenAI(base_url=upstream.base_url, api_key="sk-test", max_retries=0)
"""

import asyncio
import json
import logging
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

Text = str | Callable[[dict[str, Any]], str]

HELLO = "Hello from upstream"
# A fixed moment keeps answers the same from run to run.
CREATED = 1_700_000_000
REASONS = {200: "OK", 302: "Found", 307: "Temporary Redirect", 429: "Too Many Requests"}

logger = logging.getLogger(__name__)


# What arrives and what is said about it


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


class Behaviour(Protocol):
    """One way to answer one request."""

    async def play(self, request: ReceivedRequest, reply: "Reply") -> None: ...


def split_chunks(text: str) -> list[str]:
    """The text in word chunks, each with the space before it; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def count_prompt_words(body: Mapping[str, Any]) -> int:
    """The number of words in all messages, counted instead of tokens."""
    words = 0
    for message in body.get("messages", []):
        content = message.get("content") or ""
        parts = [{"text": content}] if isinstance(content, str) else content
        words += sum(len(part.get("text", "").split()) for part in parts)
    return words


def error_body(message: str, kind: str, code: str | None) -> dict[str, Any]:
    """The provider's error object."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


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

    async def event(self, data: str) -> None:
        """One `data:` event."""
        await self._write(self._chunk(f"data: {data}\n\n"))

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

    def _head(self, status: int, content_type: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"content-type: {content_type}", f"x-request-id: req_{self.number}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @staticmethod
    def _chunk(text: str) -> bytes:
        data = text.encode()
        return b"%x\r\n%s\r\n" % (len(data), data)

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


# The behaviours


@dataclass(frozen=True)
class Answer:
    """A text answer, whole or broken off."""

    text: Text = HELLO
    first_token_s: float = 0
    chunk_s: float = 0
    comment_s: float | None = None
    usage: bool = True
    finish_reason: str | None = "stop"
    hold_after: int | None = None
    held_until: threading.Event | None = None
    break_after: int | None = None
    ending: Literal["whole", "end of file", "reset", "error event"] = "whole"

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        text = self.text(request.body) if callable(self.text) else self.text
        chunks = split_chunks(text)
        prompt = count_prompt_words(request.body)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": len(chunks),
            "total_tokens": prompt + len(chunks),
        }
        common = {
            "id": f"chatcmpl-{reply.number}",
            "created": CREATED,
            "model": request.body.get("model"),
        }
        if request.stream:
            await self._play_stream(request, reply, chunks, common, usage)
        else:
            await self._play_plain(reply, text, len(chunks), common, usage)

    async def _play_plain(
        self,
        reply: Reply,
        text: str,
        chunk_count: int,
        common: dict[str, Any],
        usage: dict[str, int],
    ) -> None:
        await asyncio.sleep(self.first_token_s + self.chunk_s * max(0, chunk_count - 1))
        if self.hold_after is not None:
            await self._hold()
        if self.ending == "error event":
            # Gateways in front of a provider answer so: the error object with status 200.
            await reply.plain(200, json.dumps(UPSTREAM_ERROR).encode())
            return
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None}
        answer = common | {
            "object": "chat.completion",
            "choices": [choice | {"finish_reason": self.finish_reason}],
        }
        body = json.dumps(answer | ({"usage": usage} if self.usage else {})).encode()
        if self.ending == "whole":
            await reply.plain(200, body)
        else:
            await reply.plain(200, body[: len(body) // 2], announce=len(body))
            await reply.hang_up(reset=self.ending == "reset")

    async def _play_stream(
        self,
        request: ReceivedRequest,
        reply: Reply,
        chunks: list[str],
        common: dict[str, Any],
        usage: dict[str, int],
    ) -> None:
        options = request.body.get("stream_options") or {}
        with_usage = self.usage and options.get("include_usage") is True
        base = common | {"object": "chat.completion.chunk"} | ({"usage": None} if with_usage else {})

        def event(delta: dict[str, Any], finish_reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            return json.dumps(base | {"choices": [choice]})

        await reply.open_stream()
        await self._wait_for_first_token(reply)
        await reply.event(event({"role": "assistant", "content": "", "refusal": None}))
        for index, chunk in enumerate(chunks[: self.break_after]):
            if index:
                await asyncio.sleep(self.chunk_s)
            if index == self.hold_after:
                await self._hold()
            await reply.event(event({"content": chunk}))

        if self.ending == "reset":
            await reply.hang_up(reset=True, inside=event({"content": "never read whole"}))
            return
        if self.ending == "end of file":
            await reply.end_stream(done=False)
            return
        if self.ending == "error event":
            await reply.event(json.dumps(UPSTREAM_ERROR))
            await reply.end_stream(done=False)
            return
        if self.finish_reason is not None:
            await reply.event(event({}, self.finish_reason))
        if with_usage:
            await reply.event(json.dumps(base | {"choices": [], "usage": usage}))
        await reply.end_stream()

    async def _hold(self) -> None:
        while self.held_until is None or not self.held_until.is_set():  # noqa: ASYNC110 a test's thread sets it
            await asyncio.sleep(0.01)

    async def _wait_for_first_token(self, reply: Reply) -> None:
        left = self.first_token_s
        while self.comment_s is not None and left > self.comment_s:
            await asyncio.sleep(self.comment_s)
            await reply.comment()
            left -= self.comment_s
        await asyncio.sleep(left)


@dataclass(frozen=True)
class Plain:
    """One plain response, whatever was asked."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        await reply.plain(self.status, self.body.encode(), self.content_type, dict(self.headers))


@dataclass(frozen=True)
class Refusal:
    """The provider's error object; `{key}` and `{masked_key}` in it repeat the sent key."""

    status: int
    message: str
    kind: str
    code: str | None
    headers: tuple[tuple[str, str], ...] = ()

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        masked = f"{request.key[:8]}********{request.key[-4:]}"
        message = self.message.replace("{masked_key}", masked).replace("{key}", request.key)
        body = json.dumps(error_body(message, self.kind, self.code)).encode()
        await reply.plain(self.status, body, headers=dict(self.headers))


@dataclass(frozen=True)
class Garbage:
    """Status 200 and something else where the answer's JSON belongs."""

    data: str

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        if not request.stream:
            await reply.plain(200, self.data.encode())
            return
        await reply.open_stream()
        await reply.event(self.data)
        await reply.end_stream()


@dataclass(frozen=True)
class Silence:
    """No byte, until the client leaves or the server stops."""

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        await asyncio.get_running_loop().create_future()


UPSTREAM_ERROR = error_body("The server had an error while processing it", "server_error", None)
# Default message and code by status, in the provider's own words where they are known.
FAILURES: dict[int, tuple[str, str | None]] = {
    400: ("This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
    401: ("Incorrect API key provided: {masked_key}.", "invalid_api_key"),
    404: ("The model does not exist or you do not have access to it.", "model_not_found"),
    500: ("The server had an error while processing your request.", None),
    503: ("The engine is currently overloaded, please try again later.", None),
}


def answers(
    text: Text = HELLO,
    chunk_delay_s: float = 0,
    usage: bool = True,
    finish_reason: str | None = "stop",
) -> Behaviour:
    """A whole answer; `text` may be made from the request body. `finish_reason=None` omits it."""
    return Answer(text, chunk_s=chunk_delay_s, usage=usage, finish_reason=finish_reason)


def slow(
    first_token_s: float = 0.5,
    chunk_s: float = 0,
    text: Text = HELLO,
    comment_s: float | None = None,
) -> Behaviour:
    """A whole answer that is late; with `comment_s`, comments keep the stream alive meanwhile."""
    return Answer(text, first_token_s=first_token_s, chunk_s=chunk_s, comment_s=comment_s)


def held(text: Text, after_chunks: int = 1, until: threading.Event | None = None) -> Behaviour:
    """A stream that stands still after so many chunks `until` this is set, or until the client leaves.

    A plain answer does so before its first byte.
    """
    return Answer(text, hold_after=after_chunks, held_until=until)


def cut(after_chunks: int = 2, clean: bool = False, text: Text = HELLO) -> Behaviour:
    """An answer that breaks off: `clean` by a proper end of the body, else by a reset mid chunk.

    A plain answer, clean or not, ends before the length that its head announced.
    """
    return Answer(text, break_after=after_chunks, ending="end of file" if clean else "reset")


def error_event(after_chunks: int = 1, text: Text = HELLO) -> Behaviour:
    """An error object inside the stream; for a plain request the error object with status 200."""
    return Answer(text, break_after=after_chunks, ending="error event")


def rate_limited(
    retry_after: str | None = "1",
    code: Literal["rate_limit_exceeded", "insufficient_quota"] = "rate_limit_exceeded",
) -> Behaviour:
    """Status 429: too fast, or nothing left to spend."""
    headers = () if retry_after is None else (("retry-after", retry_after),)
    if code == "insufficient_quota":
        return Refusal(429, "You exceeded your current quota.", code, code, headers)
    return Refusal(429, "Rate limit reached for requests.", "requests", code, headers)


def fails(status: int = 500, message: str | None = None, code: str | None = None) -> Behaviour:
    """Any 4xx or 5xx; `{key}` in the message repeats the sent key whole, `{masked_key}` in part."""
    usual_message, usual_code = FAILURES.get(status, (f"Failed with status {status}.", None))
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return Refusal(status, message or usual_message, kind, code or usual_code)


def garbage(data: str = "not json") -> Behaviour:
    """Status 200 and no JSON, or JSON of another shape, as the body or as a stream's one event."""
    return Garbage(data)


def html(status: int = 200) -> Behaviour:
    """A web page, as a wrong base URL or a login wall gives."""
    return Plain(status, "<!doctype html><title>Sign in</title><h1>Sign in</h1>", "text/html")


def silent() -> Behaviour:
    """No answer, until the client leaves."""
    return Silence()


def redirects(to: str, status: Literal[302, 307] = 302) -> Behaviour:
    """A redirect; a client that follows 302 does so with GET, 307 repeats the POST and its body."""
    return Plain(status, "", "text/plain", (("location", to),))


# The server


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
        self.base_url = ""
        self.requests: list[ReceivedRequest] = []
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
        self.base_url = f"http://127.0.0.1:{port}/v1"
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
        """Answer the next requests so, in this order; after them `answers()` again."""
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
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            return fails(404, f"Invalid URL ({request.method} {request.path})", "unknown_url")
        if not isinstance(request.body, dict):
            return fails(400, "We could not parse the JSON body of your request.", "invalid_json")
        try:
            return self._script.popleft()
        except IndexError:
            return answers()
