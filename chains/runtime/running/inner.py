"""Encodes a run's inner steps as LangChain's events (``astream_events`` v2), or as a log made of these.

For a code chain LangChain emits the events itself. For a configured chain the events of its steps are
encoded here in the same format. LangChain's own ``astream_log`` is not used: it is deprecated, and it
deserializes objects from a chain's output. The patches made here have the same format, which LangServe's
``stream_log`` sends.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from chains.runtime.context import RunContext
from chains.runtime.events import Event, Inner, Part, Step
from chains.runtime.plans.base import Plan
from chains.runtime.wire.values import add, encode

Emit = Callable[[Event], Awaitable[None]]

# Run types that have another name in astream_log: the name in astream_events to the name in a log.
LOG_TYPES = {"chat_model": "llm"}


@dataclass(frozen=True, kw_only=True)
class InnerFilter:
    """Selects runs as astream_events does: those that match an ``include`` and no ``exclude``.

    ``None`` includes all. Types are those of LangChain's events: chain, chat_model, prompt, parser ...
    In a log the type of a chat model is ``llm``, as in astream_log.
    """

    include_names: Sequence[str] | None = None
    include_types: Sequence[str] | None = None
    include_tags: Sequence[str] | None = None
    exclude_names: Sequence[str] | None = None
    exclude_types: Sequence[str] | None = None
    exclude_tags: Sequence[str] | None = None

    def admits(self, event: Mapping[str, Any], *, kind: str = "") -> bool:
        kinds = {kind or kind_of(event)}
        has = {"names": {event["name"]}, "types": kinds, "tags": set(event.get("tags") or ())}
        wanted = {what: getattr(self, f"include_{what}") for what in has}
        unwanted = {what: getattr(self, f"exclude_{what}") or () for what in has}
        if any(values.intersection(unwanted[what]) for what, values in has.items()):
            return False
        if all(names is None for names in wanted.values()):
            return True
        return any(values.intersection(wanted[what] or ()) for what, values in has.items())


def kind_of(event: Mapping[str, Any]) -> str:
    """The run type in the event's name: ``chat_model`` for ``on_chat_model_stream``."""
    return str(event["event"]).removeprefix("on_").rpartition("_")[0]


def phase_of(event: Mapping[str, Any]) -> str:
    """The last word of the event's name: ``start``, ``stream`` or ``end``, others for custom events."""
    return str(event["event"]).rpartition("_")[2]


def pieces_of(event: Mapping[str, Any], *, has_streamed: bool) -> list[Any]:
    """The pieces that the event adds to its run's output.

    A run that does not stream, such as a prompt or a retriever, has its output only in its end event.
    """
    phase, data = phase_of(event), event["data"]
    if phase == "stream":
        return [data["chunk"]]
    return [data["output"]] if phase == "end" and not has_streamed and data.get("output") is not None else []


def plain(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as JSON data, without the internal names (``__...``) of its metadata."""
    metadata = {k: v for k, v in event["metadata"].items() if not k.startswith("__")}
    return encode({**event, "metadata": metadata}, unknown=lambda value: f"<{type(value).__name__}>")


class InnerView:
    """Emits the selected inner steps, as events or as a log."""

    def __init__(self, *, admits: InnerFilter, as_log: bool, emit: Emit):
        self._admits, self._as_log, self._emit = admits, as_log, emit
        self._log: RunLog | None = None
        self._so_far: Any = None
        self._has_streamed = False

    def pieces(
        self, plan: Plan, value: Any, context: RunContext, config: RunnableConfig
    ) -> AsyncGenerator[Any, None]:
        """Run the plan and yield the pieces of its output; the inner steps are emitted meanwhile."""
        events = plan.langchain_events(value, context, config)
        if events is None:
            return _LangChainWords(view=self, emit=context.emit, config=config).pieces(plan, value, context)
        return self._pieces_in(events)

    async def _pieces_in(self, events: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async with aclosing(cast(Any, events)) as stream:
            async for event in stream:
                for piece in await self.show(event):
                    yield piece

    async def show(self, event: Mapping[str, Any]) -> list[Any]:
        """Emit one event in LangChain's format; returns the pieces that it adds to the outermost output."""
        # The first event is the start of the outermost run.
        log = self._log = self._log or RunLog(run_id=event["run_id"], admits=self._admits)
        shown, pieces = plain(event), []
        if event["run_id"] == log.run_id:
            pieces = pieces_of(event, has_streamed=self._has_streamed)
        for piece in pieces:
            self._so_far = add(self._so_far, piece) if self._has_streamed else piece
            self._has_streamed = True
        if not self._as_log:
            if self._admits.admits(shown):
                await self._emit(Inner(value=shown))
        elif ops := log.patches(shown, pieces, self._so_far):
            await self._emit(Inner(value={"ops": ops}))
        return pieces


# --- Our own events in LangChain's format ------------------------------------------------------

# LangChain's run type for each kind of part; a kind that is not listed is a ``chain``.
WORDS = {"prompt": "prompt", "model": "chat_model", "parser": "parser"}
PHASES = {"started": "start", "streamed": "stream", "finished": "end"}
ROOT = ""


@dataclass(kw_only=True)
class _Node:
    """A nested run in LangChain's sense; ``members`` counts the runs that have started inside it."""

    run_id: str
    kind: str
    name: str
    input: Any = None
    tags: list[str] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)
    members: int = 0


@dataclass(kw_only=True)
class _LangChainWords:
    """Encodes a configured chain's run as LangChain would: as a sequence of the chain's steps.

    A chain of one step has no nested run for that step, because LangChain makes no sequence of one.
    """

    view: InnerView
    emit: Emit
    config: RunnableConfig
    nodes: dict[str, _Node] = field(default_factory=dict)
    shows_steps: bool = True

    async def pieces(self, plan: Plan, value: Any, context: RunContext) -> AsyncGenerator[Any, None]:
        config = ensure_config(self.config)
        self.shows_steps = plan.has_several_steps
        self.nodes[ROOT] = _Node(
            run_id=str(config.get("run_id") or uuid4()),
            kind="chain",
            name=config.get("run_name") or "RunnableSequence",
            tags=list(config.get("tags") or []),
            metadata=config.get("metadata") or {},
        )
        inside = replace(context, emit=self.on_event, shows_parts=True)
        pieces = []
        await self._show(ROOT, "started", {"input": value})
        async with aclosing(plan.stream(value, inside, config)) as stream:
            async for piece in stream:
                pieces.append(piece)
                await self._show(ROOT, "streamed", {"chunk": piece})
                yield piece
        await self._show(ROOT, "finished", {"output": plan.whole(pieces)})

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Part):
            path = f"{event.path}/{event.kind}"
            await self._show_at(path, event, event.value, about=event.about)
            return
        if isinstance(event, Step) and self.shows_steps:
            value = event.input if event.status == "started" else event.output
            await self._show_at(event.path, event, value)
        await self.emit(event)

    async def _show_at(
        self, path: str, event: Step | Part, value: Any, *, about: Mapping[str, Any] | None = None
    ) -> None:
        if event.status == "started":
            self.nodes[path] = self._node(path, event, value, about or {})
        given = self.nodes[path].input
        data = {} if given is None else {"input": given}
        if event.status == "streamed":
            data = {"chunk": value}
        elif event.status == "finished":
            data = {"output": value, **data}
        await self._show(path, event.status, data)

    def _node(self, path: str, event: Step | Part, value: Any, about: Mapping[str, Any]) -> _Node:
        around = path.rpartition("/")[0]
        parent, root = self.nodes.get(around, self.nodes[ROOT]), self.nodes[ROOT]
        parent.members += 1
        return _Node(
            run_id=getattr(event, "id", "") or str(uuid4()),
            kind=WORDS.get(event.kind, "chain"),
            name=event.name,
            input=value,
            tags=[f"seq:step:{parent.members}", *root.tags],
            metadata={**root.metadata, **about},
            parents=[*parent.parents, parent.run_id],
        )

    async def _show(self, path: str, status: str, data: Mapping[str, Any]) -> None:
        node = self.nodes[path]
        await self.view.show(
            {
                "event": f"on_{node.kind}_{PHASES[status]}",
                "run_id": node.run_id,
                "name": node.name,
                "tags": node.tags,
                "metadata": node.metadata,
                "data": data,
                "parent_ids": node.parents,
            }
        )


# --- The log -----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class RunLog:
    """The log of one run: turns each event, in order, into patches of the log's document."""

    run_id: str
    admits: InnerFilter
    keys: dict[str, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def patches(self, event: Mapping[str, Any], pieces: Sequence[Any], so_far: Any) -> list[dict[str, Any]]:
        """RFC 6902 operations for ``event``, which is plain JSON data.

        ``pieces`` are those that it adds to the outermost run's output, ``so_far`` is their sum until now.
        """
        if event["run_id"] == self.run_id:
            return self._root(event, pieces, so_far)
        phase, key = phase_of(event), self.keys.get(event["run_id"])
        if phase == "start" and self.admits.admits(event, kind=_log_type(event)):
            key = self._key(event)
            return [_op("add", f"/logs/{key}", _entry(event))]
        if key is None:
            return []
        if phase == "stream":
            return self._piece(f"/logs/{key}", event)
        if phase == "end":
            return [
                _op("add", f"/logs/{key}/final_output", _final(event)),
                _op("add", f"/logs/{key}/end_time", _now()),
            ]
        return []

    def _root(self, event: Mapping[str, Any], pieces: Sequence[Any], so_far: Any) -> list[dict[str, Any]]:
        if phase_of(event) == "start":
            state: dict[str, Any] = {
                "id": self.run_id,
                "streamed_output": [],
                "final_output": None,
                "logs": {},
            }
            return [_op("replace", "", state | {"name": event["name"], "type": _log_type(event)})]
        added = [_op("add", "/streamed_output/-", encode(piece)) for piece in pieces]
        return [*added, _op("replace", "/final_output", encode(so_far))] if added else []

    def _piece(self, path: str, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        chunk = event["data"].get("chunk")
        ops = [_op("add", f"{path}/streamed_output/-", chunk)]
        if _log_type(event) == "llm":
            text = chunk.get("content") if isinstance(chunk, dict) else chunk
            ops.insert(0, _op("add", f"{path}/streamed_output_str/-", text if isinstance(text, str) else ""))
        return ops

    def _key(self, event: Mapping[str, Any]) -> str:
        """The run's name, escaped for a JSON pointer; from the second run of a name on with a number."""
        name = event["name"].replace("~", "~0").replace("/", "~1")
        self.names[name] = count = self.names.get(name, 0) + 1
        self.keys[event["run_id"]] = key = name if count == 1 else f"{name}:{count}"
        return key


def _op(op: str, path: str, value: Any) -> dict[str, Any]:
    return {"op": op, "path": path, "value": value}


def _entry(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": event["run_id"],
        "name": event["name"],
        "type": _log_type(event),
        "tags": event["tags"],
        "metadata": event["metadata"],
        "start_time": _now(),
        "streamed_output": [],
        "streamed_output_str": [],
        "final_output": None,
        "end_time": None,
    }


def _final(event: Mapping[str, Any]) -> Any:
    output = event["data"].get("output")
    if _log_type(event) == "llm" and isinstance(output, dict) and "content" in output:
        text = output["content"] if isinstance(output["content"], str) else ""
        generation = {"text": text, "generation_info": None, "type": "ChatGenerationChunk", "message": output}
        return {"generations": [[generation]], "llm_output": None, "run": None, "type": "LLMResult"}
    name = "documents" if _log_type(event) == "retriever" else "output"
    return output if isinstance(output, dict) else {name: output}


def _log_type(event: Mapping[str, Any]) -> str:
    kind = kind_of(event)
    return LOG_TYPES.get(kind, kind)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
