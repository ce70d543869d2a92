"""The scripted provider's answers in Anthropic's Messages format, for requests to ``/v1/messages``.

The wire format is the one of the Anthropic API reference: "Messages", "Streaming messages" and "Errors". A
request that is not what the API takes is refused as the API does it.

    upstream.script(anthropic.refuses(529), anthropic.says("Second try"))
"""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.upstream.behaviours import HELLO, Behaviour, count_prompt_words, split_chunks
from tests.upstream.wire import ReceivedRequest, Reply

Ending = Literal["whole", "end of file", "reset", "error event"]


def error_body(kind: str, message: str) -> dict[str, Any]:
    """The API's error object."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}


@dataclass(frozen=True)
class Says:
    """An answer, whole or broken off after so many pieces. ``read`` are counts of the cache, by their names.

    ``tool`` is called, or the one that the request forces: ``text``, which then is JSON, is its input.
    """

    text: str = HELLO
    thinking: str = ""
    stop_reason: str | None = "end_turn"
    tool: str = ""
    read: tuple[tuple[str, Any], ...] = ()
    repeats_read: bool = True
    break_after: int | None = None
    ending: Ending = "whole"
    error: tuple[str, str] = ("overloaded_error", "Overloaded")
    rest_of_answer: bool = True
    hold_after: int | None = None
    held_until: threading.Event | None = None

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        if fault := _fault_of(request):
            await refuses(400, "invalid_request_error", fault).play(request, reply)
        elif request.stream:
            await self._play_stream(request.body, reply)
        else:
            await self._play_plain(request.body, reply)

    async def _play_plain(self, asked: Mapping[str, Any], reply: Reply) -> None:
        if self.hold_after is not None:
            await self._hold()
        if self.ending == "error event":
            await refuses(529, *self.error).play(ReceivedRequest("", "", {}, asked), reply)
            return
        whole = {**self._start(asked, reply), "content": self._blocks(asked)}
        whole |= {"stop_reason": self._stop_reason(asked), "usage": self._usage(asked)}
        body = json.dumps(whole).encode()
        if self.ending == "whole":
            await reply.plain(200, body)
        else:
            await reply.plain(200, body[: len(body) // 2], announce=len(body))
            await reply.hang_up(reset=self.ending == "reset")

    async def _play_stream(self, asked: Mapping[str, Any], reply: Reply) -> None:
        async def send(kind: str, **data: Any) -> None:
            await reply.event(json.dumps({"type": kind, **data}), name=kind)

        await reply.open_stream()
        usage = {**self._usage(asked), "output_tokens": 1}
        await send("message_start", message={**self._start(asked, reply), "usage": usage})
        await send("ping")
        for number, (kind, data) in enumerate(self._events(asked)):
            if number == self.hold_after:
                await self._hold()
            if number == self.break_after:
                break
            await send(kind, **data)
        if self.ending != "whole":
            await self._break_stream(reply)
            return
        counted = self._usage(asked)
        end = counted if self.repeats_read else {"output_tokens": counted["output_tokens"]}
        if self.stop_reason is not None:
            delta = {"stop_reason": self._stop_reason(asked), "stop_sequence": None}
            await send("message_delta", delta=delta, usage=end)
        if self.rest_of_answer:
            await send("message_stop")
            await reply.end_stream(done=False)
        else:
            await reply.hang_up(reset=True)

    async def _break_stream(self, reply: Reply) -> None:
        if self.ending == "reset":
            await reply.hang_up(reset=True, inside="never read whole")
            return
        if self.ending == "error event":
            await reply.event(json.dumps(error_body(*self.error)), name="error")
        await reply.end_stream(done=False)

    def _start(self, asked: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        about = {"id": f"msg_{reply.number}", "type": "message", "role": "assistant", "content": []}
        return about | {"model": asked["model"], "stop_reason": None, "stop_sequence": None}

    def _blocks(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if self.thinking:
            blocks.append({"type": "thinking", "thinking": self.thinking, "signature": "c2ln"})
        if name := self._tool(asked):
            tool = {"id": "toolu_1", "name": name, "input": json.loads(self.text)}
            return [*blocks, {"type": "tool_use", **tool}]
        return [*blocks, {"type": "text", "text": self.text}] if self.text else blocks

    def _events(self, asked: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The pieces of the blocks, each with its name."""
        empty = {
            "thinking": {"thinking": "", "signature": ""},
            "text": {"text": ""},
            "tool_use": {"input": {}},
        }
        for index, block in enumerate(self._blocks(asked)):
            begun = {**block, **empty[block["type"]]}
            yield "content_block_start", {"index": index, "content_block": begun}
            for delta in _deltas(block):
                yield "content_block_delta", {"index": index, "delta": delta}
            yield "content_block_stop", {"index": index}

    def _tool(self, asked: Mapping[str, Any]) -> str:
        choice = asked.get("tool_choice") or {}
        return str(choice["name"]) if choice.get("type") == "tool" else self.tool

    def _stop_reason(self, asked: Mapping[str, Any]) -> str | None:
        return "tool_use" if self._tool(asked) and self.stop_reason == "end_turn" else self.stop_reason

    def _usage(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        read = {"input_tokens": count_prompt_words(asked), **dict(self.read)}
        return read | {"output_tokens": len(split_chunks(self.text))}

    async def _hold(self) -> None:
        while self.held_until is None or not self.held_until.is_set():  # noqa: ASYNC110 a test's thread sets it
            await asyncio.sleep(0.01)


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "thinking":
        for word in split_chunks(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": word}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        for word in split_chunks(block["text"]):
            yield {"type": "text_delta", "text": word}
    else:
        for word in ["", *split_chunks(json.dumps(block["input"]))]:
            yield {"type": "input_json_delta", "partial_json": word}


def _fault_of(request: ReceivedRequest) -> str:
    """What the API refuses of a request, "" for nothing."""
    if "anthropic-version" not in request.headers:
        return "anthropic-version: header is required"
    for name in ("model", "max_tokens", "messages"):
        if not request.body.get(name):
            return f"{name}: Field required"
    roles = {message["role"] for message in request.body["messages"]}
    return f"messages: Unexpected role {roles}" if roles - {"user", "assistant"} else ""


@dataclass(frozen=True)
class Refuses:
    """The API's error object; `{key}` in its message repeats the sent key."""

    status: int
    kind: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()

    async def play(self, request: ReceivedRequest, reply: Reply) -> None:
        sent = request.headers.get("x-api-key") or request.key
        body = json.dumps(error_body(self.kind, self.message.replace("{key}", sent)))
        await reply.plain(self.status, body.encode(), headers=dict(self.headers))


FAILURES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "prompt is too long: 213462 tokens > 200000 maximum"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: claude-none"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
NO_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)


def says(
    text: str = HELLO,
    thinking: str = "",
    stop_reason: str | None = "end_turn",
    repeats_read: bool = True,
    **read: Any,
) -> Behaviour:
    """A whole answer; ``read`` are further counts of its usage. ``stop_reason=None`` omits how it ended."""
    return Says(text, thinking, stop_reason, read=tuple(read.items()), repeats_read=repeats_read)


def calls(tool: str, **arguments: Any) -> Behaviour:
    """An answer that calls a tool."""
    return Says(json.dumps(arguments), tool=tool)


def hangs_up_after(text: str = HELLO) -> Behaviour:
    """A stream whose answer is whole, and which is reset before its last event."""
    return Says(text, rest_of_answer=False)


def held(text: str = HELLO, after_events: int = 2, until: threading.Event | None = None) -> Behaviour:
    """A stream that stands still after so many events; as ``behaviours.held``."""
    return Says(text, hold_after=after_events, held_until=until)


def cut(after_events: int = 3, clean: bool = False) -> Behaviour:
    """An answer that breaks off: ``clean`` by a proper end of the body, else by a reset."""
    return Says(break_after=after_events, ending="end of file" if clean else "reset")


def error_event(
    after_events: int = 0, kind: str = "overloaded_error", message: str = "Overloaded"
) -> Behaviour:
    """An error inside the stream; for a plain request the same with status 529."""
    return Says(break_after=after_events, ending="error event", error=(kind, message))


def refuses(status: int, kind: str = "", message: str = "", retry_after: str = "") -> Behaviour:
    """Any 4xx or 5xx, by default in the API's own words."""
    usual_kind, usual_message = FAILURES.get(status, ("api_error", f"Failed with status {status}."))
    headers = (("retry-after", retry_after),) if retry_after else ()
    return Refuses(status, kind or usual_kind, message or usual_message, headers)
