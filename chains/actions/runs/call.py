"""A call: which chain, through which door, with what input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from accounts.callers import Caller
from chains.doors import Door
from chains.runtime.names import PRODUCTION
from chains.runtime.running.inner import InnerFilter


@dataclass(frozen=True, kw_only=True)
class RunCall:
    """``config`` is as the client sent it; ``parent_id`` is the id of the batch that the call belongs to.

    ``headers`` have lower-case names; only ``per_request`` of a code chain receives them.
    """

    slug: str
    ref: str = PRODUCTION
    caller: Caller
    door: Door
    input: Any
    config: Any = None
    inner: InnerFilter = field(default_factory=InnerFilter)
    parent_id: UUID | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
