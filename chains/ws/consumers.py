"""The WebSocket of a chain: JSON text frames, several runs one after another.

The client sends ``{"type": "start", "input": {...}}`` with an optional ``config``, ``{"type": "cancel"}`` and
``{"type": "ping"}``. For a run, the server sends ``started``, then ``step`` and ``chunk`` frames, then
``finished`` or ``failed``; editors also get ``detail`` in ``failed``: what the model's provider said. It
sends ``pong`` for a ping, and ``error`` with ``code`` and ``message`` for a frame that it refuses. It closes
the socket with 4401 when the session has ended, 4400 after too many bad frames, 4413 for a message that is
too large, and 4429 when the user has too many sockets.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from accounts.callers import Caller, authenticate_session
from chains.actions.errors import for_caller
from chains.actions.runs import start_run
from chains.actions.runs.call import RunCall
from chains.actions.runs.stream import RunStream
from chains.actions.wording import figures_texts, told_text, versions_text
from chains.doors import DOORS
from chains.runtime.errors import ChainHubError, forget_frames
from chains.runtime.events import Call, Chunk, Event, Failed, Finished, Inner, Part, Started, Step
from chains.runtime.names import split_ref
from chains.runtime.wire.strict_json import InvalidJSON, strict_json_object
from chains.runtime.wire.values import encode
from concurrency.database import in_database_thread
from concurrency.loops import per_loop

MAX_BAD_FRAMES = 10
# Our server closes with 1009 for a message that is too large. Under another server the application has to
# close, and an application must not send 1009; hence 4413.
SIGNED_OUT, TOO_MANY_BAD_FRAMES, TOO_LARGE, TOO_MANY_SOCKETS = 4401, 4400, 4413, 4429
# In each process: more pages than a person has open, and few enough that one user does not use up the server.
MAX_SOCKETS_OF_A_USER = 50

_open_sockets: Callable[[], Counter[int]] = per_loop(Counter)


class BadFrame(Exception):
    """The client sent a frame that the server refuses. The socket stays open."""

    def __init__(self, message: str, code: str = "bad_frame"):
        super().__init__(message)
        self.code = code


class ChainConsumer(AsyncWebsocketConsumer):
    """One WebSocket. Its run is a separate task, so the socket receives frames during a run."""

    # No channel layer: the consumer sends tokens directly to its socket, so an outage of Redis stops nothing.
    channel_layer_alias = "unused"
    bad_frames = 0
    # The id of the user among whose sockets this one counts.
    counted_for: int | None = None
    run: "asyncio.Task[None] | None" = None
    stream: RunStream | None = None
    cancelled = False

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Call the message's handler.

        Channels' own method first switches to a thread to close database connections; this consumer has none.
        """
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        caller = await self._caller()
        if caller is None:
            await self.close()
            return
        await self.accept()
        if _open_sockets()[caller.user.pk] >= MAX_SOCKETS_OF_A_USER:
            await self.close(TOO_MANY_SOCKETS)
            return
        self.counted_for = caller.user.pk
        _open_sockets()[caller.user.pk] += 1

    async def disconnect(self, code: int) -> None:
        if self.counted_for is not None:
            _open_sockets().subtract([self.counted_for])
        if self.run is not None:
            self.run.cancel()
            await asyncio.wait([self.run], timeout=5)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.bad_frames >= MAX_BAD_FRAMES:
            # The socket is closed already; this frame was on its way.
            return
        try:
            await self._handle(text_data)
        except BadFrame as error:
            self.bad_frames += 1
            await self._send({"type": "error", "code": error.code, "message": str(error)})
            if self.bad_frames >= MAX_BAD_FRAMES:
                await self.close(TOO_MANY_BAD_FRAMES)
            forget_frames(error)
        except Exception as error:
            await self._tell(error)

    async def _handle(self, text: str | None) -> None:
        if text is None:
            raise BadFrame("Send JSON as text; binary frames are not understood.")
        data = text.encode("utf-8", "surrogatepass")
        if len(data) > settings.WEBSOCKET_MAX_FRAME_BYTES:
            await self.close(TOO_LARGE)
            return
        try:
            message = strict_json_object(data)
        except InvalidJSON as error:
            raise BadFrame(str(error)) from None
        match message.get("type"):
            case "start":
                await self._start(message)
            case "cancel":
                self._cancel()
            case "ping":
                await self._ping()
            case _:
                raise BadFrame("The frame's type must be one of: start, cancel, ping.", "unknown_type")

    # --- Frames from the client ----------------------------------------------------------------

    async def _start(self, message: dict[str, Any]) -> None:
        if "input" not in message:
            raise BadFrame("A start frame needs an input.")
        if self.run is not None and not self.run.done():
            raise BadFrame("A run is under way on this socket; cancel it first.", "busy")
        caller = await self._caller()
        if caller is None:
            await self.close(SIGNED_OUT)
            return
        slug, ref = split_ref(self.scope["url_route"]["kwargs"]["ref"])
        call = RunCall(
            slug=slug,
            ref=ref,
            caller=caller,
            input=message["input"],
            config=message.get("config"),
            door=DOORS["playground"],
            headers={name.decode("latin-1"): text.decode("latin-1") for name, text in self.scope["headers"]},
        )
        self.cancelled = False
        self.run = asyncio.create_task(self._drive(call))

    def _cancel(self) -> None:
        """Cancel the run. The client then gets ``failed`` with the status ``cancelled``.

        Without a run, nothing is sent.
        """
        self.cancelled = True
        if self.stream is not None:
            self.stream.cancel()

    async def _ping(self) -> None:
        if await self._caller() is None:
            await self.close(SIGNED_OUT)
        else:
            await self._send({"type": "pong"})

    # --- The run -------------------------------------------------------------------------------

    async def _drive(self, call: RunCall) -> None:
        try:
            stream = await start_run(call)
        except Exception as error:
            await self._tell(error)
            return
        self.stream = stream
        if self.cancelled:
            stream.cancel()
        try:
            async for first in stream:
                for event in _merged([first, *stream.waiting()]):
                    if message := _message(event):
                        await self._send(message | await _detail(event, call.caller))
        except Exception as error:
            # For example, an answer that is too large for one message.
            await self._tell(error)
        finally:
            # If the socket is closed, this ends the call to the provider.
            stream.cancel()
            self.stream = None

    async def _caller(self) -> Caller | None:
        """Return the session's current user. The session may have ended since the socket was opened."""
        return await authenticate_session(self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, ""))

    async def _tell(self, error: Exception) -> None:
        await self._send({"type": "error", **_fault(for_caller(error))})
        forget_frames(error)

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(json.dumps(message, ensure_ascii=False))


def _merged(events: list[Event]) -> Iterator[Event]:
    """Yield the events, with consecutive text chunks merged into one chunk."""
    text = ""
    for event in events:
        if isinstance(event, Chunk) and isinstance(event.value, str):
            text += event.value
            continue
        if text:
            yield Chunk(value=text)
            text = ""
        yield event
    if text:
        yield Chunk(value=text)


def _fault(error: ChainHubError) -> dict[str, Any]:
    fields: dict[str, Any] = {"code": error.code, "message": str(error)}
    faults = getattr(error, "errors", None)
    return fields | ({"errors": faults} if faults else {})


def _message(event: Event) -> dict[str, Any] | None:
    """Return the message that the client gets for an event, or None if it gets none."""
    match event:
        case Chunk():
            return {"type": "chunk", "value": event.value}
        case Inner() | Part():
            raise AssertionError("A socket never asks for inner steps.")
        case Started():
            versions = versions_text(event.version, event.package, event.prompts)
            return {"type": "started", **encode(vars(event)), "shown": {"versions": versions}}
        case Step(is_one_call=True):
            # An ``llm`` step is one model call, and the call's event has more details.
            return None
        case Step():
            return _step(event.path, event.status)
        case Call():
            return _step(event.path, event.status, event.provider, event.model)
        case Finished():
            return {
                "type": "finished",
                "run_id": str(event.run_id),
                "output": event.output,
                "finish_reason": event.finish_reason,
                **_figures(event),
            }
        case Failed():
            return {
                "type": "failed",
                "run_id": str(event.run_id),
                "status": event.status,
                **_fault(event.error),
                **_figures(event),
            }


async def _detail(event: Event, caller: Caller) -> dict[str, Any]:
    """Return what the provider said of a failure, if the caller is an editor; it may quote the prompt."""
    if not isinstance(event, Failed) or event.told is None or not await _is_editor(caller):
        return {}
    return {"detail": {**asdict(event.told), "shown": told_text(event.told)}}


@in_database_thread
def _is_editor(caller: Caller) -> bool:
    return caller.user.has_perm("chains.change_chain")


def _step(name: str, status: str, provider: str = "", model: str = "") -> dict[str, Any]:
    return {"type": "step", "name": name, "status": status, "provider": provider, "model": model}


def _figures(event: Finished | Failed) -> dict[str, Any]:
    """Return the figures as data and, under ``shown``, as texts for the page."""
    figures, cost = event.figures, event.figures.cost_usd
    return {
        **vars(figures),
        "cost_usd": None if cost is None else format(cost, "f"),
        "shown": figures_texts(figures),
    }
