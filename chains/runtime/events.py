"""What a run tells while it goes; every way in only encodes these.

Order: Started, then Step, Call, Chunk and Inner in any mix, then exactly one of Finished and Failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from chains.runtime.errors import ChainHubError

Mode = Literal["whole", "stream", "events", "log"]
"""What is told while a run goes: nothing, its chunks, or beside them its inner steps as events or a log."""
Status = Literal["running", "succeeded", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a run cost; times in milliseconds from its start, ``None`` where not known."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    first_token_ms: int | None = None
    latency_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Started:
    """``prompts`` maps prompt slugs to the version numbers that are used.

    ``version`` is the number of a configured chain's version; ``package`` the software and its
    version that a chain in code comes from.
    """

    run_id: UUID
    chain: str
    version: int | None
    package: str
    prompts: Mapping[str, int]
    plan_digest: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step began with ``input``, or finished with ``output``; both are Python objects, not yet JSON data.

    ``path`` leads to it from the run: the names of the steps around it and its own, joined by ``/``.
    ``at_ms`` counts from the start of the run.
    """

    path: str
    kind: str
    name: str
    status: Literal["started", "finished"]
    at_ms: int
    input: Any = None
    output: Any = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """For the step at ``path`` a model was asked, or has answered; a fallback is a call of its own."""

    path: str
    status: Literal["started", "finished"]
    at_ms: int
    provider: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """What happens within the step at ``path``; emitted only where the run's inner steps are shown.

    ``name`` is what LangChain calls such a part. ``value`` is what it began with, its next piece or what
    it gave, as Python objects; ``about`` says more of it.
    """

    path: str
    kind: Literal["prompt", "model", "parser"]
    name: str
    status: Literal["started", "streamed", "finished"]
    value: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of the answer as plain JSON data; the pieces of a text add up to the output."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class Inner:
    """What happens inside a run, as plain JSON data, for those who asked to see it.

    An event of LangChain's ``astream_events`` (v2), or ``{"ops": [...]}``, RFC 6902 patches of the
    run's log.
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
    run_id: UUID
    status: Status
    error: ChainHubError
    figures: Figures = field(default_factory=Figures)


Event = Started | Step | Call | Part | Chunk | Inner | Finished | Failed
