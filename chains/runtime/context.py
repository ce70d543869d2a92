"""What a running step may ask for: one context for each run, handed to every step of it."""

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
    """A call that was answered; ``usage`` and ``cost_usd`` are ``None`` where not known."""

    step: str
    provider: str
    model: str
    attempts: int
    finish_reason: str
    usage: Usage | None
    cost_usd: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long a call waits before it is tried again: at random up to a limit that doubles with each try.

    ``first_s`` is the limit before the second try, ``most_s`` bounds it. Source of the full jitter:
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    first_s: float = 1.0
    most_s: float = 8.0
    jitter: Callable[[float, float], float] = random.uniform
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def wait_s(self, tries: int) -> float:
        """After ``tries`` that failed, counted from 1."""
        return self.jitter(0, min(self.most_s, self.first_s * 2 ** (tries - 1)))


@dataclass(kw_only=True)
class RunContext:
    """Belongs to one run; a plan, which many runs share, holds nothing of it.

    ``emit`` passes an event on and waits where its reader is slow. ``began`` and ``deadline`` are on the
    monotonic clock, in seconds. ``calls`` gathers the model calls that were answered. ``shows_parts``: a
    reader looks inside the steps, so that they stream and emit their parts.
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
