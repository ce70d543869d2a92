"""The run context: what a step may use while it runs. Each run has one, passed to all of its steps."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from chains.runtime.errors import Told
from chains.runtime.events import Event
from chains.runtime.pricing import Usage

# How much of a text is kept with a model call.
MAX_TEXT_CHARS = 16_000


@dataclass(frozen=True, kw_only=True)
class Try:
    """One request of a model call. Times are in milliseconds; ``started_ms`` counts from the run's start.

    ``first_ms`` is the time until the first piece with content, ``None`` where none came. A failed try has
    the ``code`` of its error and what the provider ``told``.
    """

    started_ms: int
    ms: int
    first_ms: int | None = None
    outcome: Literal["answered", "failed", "cancelled"]
    code: str = ""
    told: Told | None = None


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """A model call, answered or not; ``usage`` and ``cost_usd`` are ``None`` where unknown.

    ``raw_finish_reason`` is the provider's own word for ``finish_reason``; ``reasoning`` is what the model
    thought before its answer. A call of a code chain tells of no tries.
    """

    step: str
    provider: str
    model: str
    tries: tuple[Try, ...] = ()
    finish_reason: str
    raw_finish_reason: str = ""
    reasoning: str = ""
    usage: Usage | None
    cost_usd: Decimal | None

    @property
    def attempts(self) -> int:
        return max(1, len(self.tries))

    @property
    def was_answered(self) -> bool:
        return not self.tries or self.tries[-1].outcome == "answered"

    @property
    def may_cost_more(self) -> bool:
        """Whether a try broke after its first piece: the provider charges for it, and told no usage."""
        return any(t.outcome != "answered" and t.first_ms is not None for t in self.tries)


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """The wait before a retry: a random time up to a limit, which doubles with each try.

    ``first_s`` is the limit before the second try, ``most_s`` the highest limit. Source of this formula
    (full jitter): "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    first_s: float = 1.0
    most_s: float = 8.0
    jitter: Callable[[float, float], float] = random.uniform
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def wait_s(self, tries: int) -> float:
        """Seconds to wait after ``tries`` failed tries, which is 1 or more."""
        return self.jitter(0, min(self.most_s, self.first_s * 2 ** (tries - 1)))


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A habit of a provider's model that a refusal taught; ``value`` ``None``: what was learned is wrong."""

    provider: str
    model: str
    habit: str
    value: str | None
    refusal: str


@dataclass(kw_only=True)
class RunContext:
    """The state of one run. Many runs share a plan, so the plan holds none of this.

    ``emit`` sends an event to the reader and waits while the reader is slow. ``began`` and ``deadline`` are
    seconds of the monotonic clock. ``calls`` collects the model calls that have ended, answered or not.
    ``said`` has the text of the latest answer so far, also of one that breaks off; ``said_by`` is the path of
    its step. ``lessons`` collects what refusals taught. ``shows_parts``: the caller asked for inner steps, so
    every step streams and emits its parts. ``is_watched``: somebody reads the events that come before the
    run's end.
    """

    emit: Callable[[Event], Awaitable[None]]
    deadline: float
    began: float = field(default_factory=time.monotonic)
    calls: list[ModelCall] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    said_by: str = ""
    lessons: list[Taught] = field(default_factory=list)
    shows_parts: bool = False
    is_watched: bool = True
    backoff: Backoff = Backoff()

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)
