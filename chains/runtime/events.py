"""The events that a run emits. The ways in (``api``, ``ws``, ``playground``) only encode them.

Order: Started, then Step, Call, Chunk and Inner in any mix, then exactly one of Finished and Failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from chains.runtime.errors import ChainHubError, Told

Mode = Literal["whole", "stream", "events", "log"]
"""How a run emits its answer: ``whole`` only at the end, ``stream`` also in chunks.

``events`` and ``log`` emit chunks and the inner steps, encoded as events or as a log.
"""
Status = Literal["running", "succeeded", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Tokens, cost and times of a run. Times are in milliseconds from its start; ``None`` means unknown.

    ``cost_is_minimum``: a call broke off after its provider had begun to charge for it.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    cost_is_minimum: bool = False
    first_token_ms: int | None = None
    latency_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Started:
    """``prompts`` maps the slugs of the prompts used to their version numbers.

    ``version`` is the version number of a configured chain. ``package`` is the name and version of the
    package that a code chain comes from.
    """

    run_id: UUID
    chain: str
    version: int | None
    package: str
    prompts: Mapping[str, int]
    plan_digest: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step started with ``input``, or finished with ``output``; both are Python objects, not yet JSON data.

    ``path`` consists of the names of the enclosing steps and of this step, joined by ``/``. ``at_ms`` is in
    milliseconds from the start of the run. ``is_one_call``: the events of its model call say as much.
    """

    path: str
    kind: str
    name: str
    status: Literal["started", "finished"]
    at_ms: int
    is_one_call: bool = False
    input: Any = None
    output: Any = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """The step at ``path`` called a model, or the model's answer ended. Each fallback is a separate call."""

    path: str
    status: Literal["started", "finished"]
    at_ms: int
    provider: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the step at ``path`` started, streamed a piece or finished.

    Emitted only where the caller asked for inner steps; ``running.inner`` encodes it as Inner. ``name`` is
    LangChain's name for such a part. ``value`` is the part's input, its next piece or its output, as Python
    objects. ``about`` is metadata of the part. ``id`` is set where messages name the part that they come
    from.
    """

    path: str
    kind: Literal["prompt", "model", "parser"]
    name: str
    status: Literal["started", "streamed", "finished"]
    value: Any = None
    id: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of the answer as plain JSON data; the pieces of a text, joined, are the output."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class Inner:
    """What happens in the inner steps, as plain JSON data, for callers who asked for it.

    ``value`` is an event of LangChain's ``astream_events`` (v2), or ``{"ops": [...]}`` with RFC 6902 patches
    of the run's log.
    """

    value: Any


@dataclass(frozen=True, kw_only=True)
class Finished:
    run_id: UUID
    output: Any
    finish_reason: str
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class Failed:
    """``told`` is what the provider said where a model call failed; it is for editors only."""

    run_id: UUID
    status: Status
    error: ChainHubError
    figures: Figures = field(default_factory=Figures)
    told: Told | None = None


Event = Started | Step | Call | Part | Chunk | Inner | Finished | Failed
