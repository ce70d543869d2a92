"""The run context: what a step may use while it runs. Each run has one, passed to all of its steps."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal

from chains.runtime.events import Event
from chains.runtime.pricing import Usage


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """A model call that was answered; ``usage`` and ``cost_usd`` are ``None`` where unknown."""

    step: str
    provider: str
    model: str
    attempts: int
    finish_reason: str
    usage: Usage | None
    cost_usd: Decimal | None


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


@dataclass(kw_only=True)
class RunContext:
    """The state of one run. Many runs share a plan, so the plan holds none of this.

    ``emit`` sends an event to the reader and waits while the reader is slow. ``began`` and ``deadline`` are
    seconds of the monotonic clock. ``calls`` collects the model calls that were answered. ``shows_parts``:
    the caller asked for inner steps, so every step streams and emits its parts.
    """

    emit: Callable[[Event], Awaitable[None]]
    deadline: float
    began: float = field(default_factory=time.monotonic)
    calls: list[ModelCall] = field(default_factory=list)
    shows_parts: bool = False
    backoff: Backoff = Backoff()

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)
