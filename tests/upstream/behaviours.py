"""The ways in which the scripted provider answers a request, faults included."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tests.upstream.wire import Ending, Framing, ReceivedRequest, Reply

Text = str | Callable[[dict[str, Any]], str]

HELLO = "Hello from upstream"
# A fixed moment keeps answers the same from run to run.
CREATED = 1_700_000_000


class Behaviour(Protocol):
    """One way to answer one request."""

    async def play(self, request: ReceivedRequest, reply: Reply) -> None: ...


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


def chunk_of(base: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None) -> str:
    """One `chat.completion.chunk`; `base` has what is the same in all chunks of an answer."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return json.dumps(base | {"choices": [choice]})


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

        await reply.open_stream()
        await self._wait_for_first_token(reply)
        await reply.event(chunk_of(base, {"role": "assistant", "content": "", "refusal": None}))
        for index, chunk in enumerate(chunks[: self.break_after]):
            if index:
                await asyncio.sleep(self.chunk_s)
            if index == self.hold_after:
                await self._hold()
            await reply.event(chunk_of(base, {"content": chunk}))
        if self.ending != "whole":
            await self._break_stream(reply, base)
            return
        if self.finish_reason is not None:
            await reply.event(chunk_of(base, {}, self.finish_reason))
        if with_usage:
            await reply.event(json.dumps(base | {"choices": [], "usage": usage}))
        await reply.end_stream()

    async def _break_stream(self, reply: Reply, base: dict[str, Any]) -> None:
        if self.ending == "reset":
            await reply.hang_up(reset=True, inside=chunk_of(base, {"content": "never read whole"}))
            return
        if self.ending == "error event":
            await reply.event(json.dumps(UPSTREAM_ERROR))
        await reply.end_stream(done=False)

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
class Raw:
    """These bytes, and pauses in seconds, whatever was asked."""

    parts: tuple[bytes | float, ...]
    status: int = 200
    content_type: str | None = "text/event-stream"
    headers: tuple[tuple[str, str], ...] = ()
    framing: Framing = "chunked"
    ending: Ending = "clean"

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        await reply.raw(
            self.parts,
            status=self.status,
            content_type=self.content_type,
            headers=dict(self.headers),
            framing=self.framing,
            ending=self.ending,
        )


@dataclass(frozen=True)
class Depends:
    """A behaviour that depends on the request's body."""

    choose: Callable[[dict[str, Any]], Behaviour]

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        await self.choose(request.body).play(request, reply)


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


def raw(*parts: bytes | float, **how: Any) -> Behaviour:
    """These bytes as the body; numbers are pauses in seconds. ``how`` has the other fields of ``Raw``."""
    return Raw(parts, **how)


def body(value: Any, status: int = 200, **how: Any) -> Behaviour:
    """A JSON value as the body, or bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Raw((data,), status, **{"content_type": "application/json", "framing": "length", **how})


def depends(choose: Callable[[dict[str, Any]], Behaviour]) -> Behaviour:
    """The behaviour that ``choose`` returns for the body of the request."""
    return Depends(choose)


def redirects(to: str, status: Literal[302, 307] = 302) -> Behaviour:
    """A redirect; a client that follows 302 does so with GET, 307 repeats the POST and its body."""
    return Plain(status, "", "text/plain", (("location", to),))
