"""A cache whose answers expire after a moment, so that many calls share one lookup."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

V = TypeVar("V")

# How long answers are kept, in seconds. A change that another process makes is seen after this time at the
# latest: a moved label takes effect everywhere within a tenth of a second.
PLANS_KEPT_S = 0.09
KEYS_KEPT_S = 1.0
SESSIONS_KEPT_S = 1.0
# Names of models, which the admin suggests.
MODELS_KEPT_S = 60.0


class Kept(Generic[V]):
    """Keeps at most ``most`` answers, each for ``keep_s`` seconds from the start of its lookup.

    Concurrent callers with the same key share one lookup. A change is seen after ``keep_s`` seconds at the
    latest.
    """

    def __init__(self, *, keep_s: float, most: int):
        self.keep_s, self.most = keep_s, most
        self._answers: dict[Hashable, tuple[float, V]] = {}
        self._looking: dict[Any, asyncio.Task[V]] = {}

    async def get(self, key: Hashable, look: Callable[[], Awaitable[V]]) -> V:
        """The kept answer, or what ``look`` returns. ``None`` and exceptions are not kept."""
        until, answer = self._answers.get(key, (0.0, None))
        if answer is not None and until > time.monotonic():
            return answer
        # The loop is part of the key, because a task can be awaited only in its own loop.
        place = asyncio.get_running_loop(), key
        if place not in self._looking:
            self._looking[place] = looking = asyncio.create_task(self._look(key, look))
            looking.add_done_callback(lambda task: self._looked(place, task))
        # Shielded, because other callers may wait for the same lookup when this one is cancelled.
        return await asyncio.shield(self._looking[place])

    async def _look(self, key: Hashable, look: Callable[[], Awaitable[V]]) -> V:
        until, answers = time.monotonic() + self.keep_s, self._answers
        answer = await look()
        if answer is not None:
            if len(answers) >= self.most:
                answers.clear()
            answers[key] = until, answer
        return answer

    def _looked(self, place: Any, looking: "asyncio.Task[V]") -> None:
        if self._looking.get(place) is looking:
            del self._looking[place]
        if not looking.cancelled():
            # If all callers were cancelled, nobody else retrieves the exception, and asyncio would warn.
            looking.exception()

    def forget(self) -> None:
        """Drop all answers after a change that must count at once; later callers share no earlier lookup."""
        self._answers, self._looking = {}, {}
