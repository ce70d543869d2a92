"""What a run shows of its inner steps: LangChain's events, and the log that can be made of them.

Both come from ``astream_events`` v2. LangChain's own ``astream_log`` is deprecated, and revives objects
from what a chain says; the patches here have the shape of its, as LangServe's ``stream_log`` sends them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chains.runtime.wire.values import encode

# What astream_events calls a run, and astream_log did.
LOG_TYPES = {"chat_model": "llm"}


@dataclass(frozen=True, kw_only=True)
class InnerFilter:
    """Which runs are told of, as astream_events has it: in one ``include``, in no ``exclude``.

    ``None`` includes all. Types are those of LangChain's events: chain, chat_model, prompt, parser ...;
    in a log a chat model is an ``llm``, as astream_log called it.
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
    """``chat_model`` of ``on_chat_model_stream``."""
    return str(event["event"]).removeprefix("on_").rpartition("_")[0]


def phase_of(event: Mapping[str, Any]) -> str:
    """``start``, ``stream`` or ``end``; a retriever's or a chain's own event has others."""
    return str(event["event"]).rpartition("_")[2]


def pieces_of(event: Mapping[str, Any], *, has_streamed: bool) -> list[Any]:
    """What the event adds to its run's output; prompts and retrievers tell of theirs at the end only."""
    phase, data = phase_of(event), event["data"]
    if phase == "stream":
        return [data["chunk"]]
    return [data["output"]] if phase == "end" and not has_streamed and data.get("output") is not None else []


def plain(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as JSON data, without the internal names (``__...``) of its metadata."""
    metadata = {k: v for k, v in event["metadata"].items() if not k.startswith("__")}
    return encode({**event, "metadata": metadata}, unknown=lambda value: f"<{type(value).__name__}>")


@dataclass(kw_only=True)
class RunLog:
    """A log of one run as patches of a document, for each event that is given to it in turn."""

    run_id: str
    admits: InnerFilter
    keys: dict[str, str] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def patches(self, event: Mapping[str, Any], pieces: Sequence[Any], so_far: Any) -> list[dict[str, Any]]:
        """RFC 6902 operations; ``event`` is plain.

        ``pieces`` are what it adds to the output of the run itself, ``so_far`` what all add up to.
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
        """The run's name, numbered from the second of that name on, as a JSON pointer writes it."""
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
