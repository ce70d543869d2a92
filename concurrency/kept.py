"""Answers that are kept for a moment, so that not each of many calls looks for the same."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

V = TypeVar("V")

# For how many seconds an answer is kept. A change that another process makes counts after this time.
# A label that is moved counts everywhere within a tenth of a second.
PLANS_KEPT_S = 0.09
KEYS_KEPT_S = 1.0
SESSIONS_KEPT_S = 1.0


class Kept(Generic[V]):
    """At most ``most`` answers, each for ``keep_s`` seconds from when it was looked for.

    Callers that want the same at the same time look once. What has changed meanwhile counts after
    ``keep_s`` at the latest.
    """

    def __init__(self, *, keep_s: float, most: int):
        self.keep_s, self.most = keep_s, most
        self._answers: dict[Hashable, tuple[float, V]] = {}
        self._looking: dict[Any, asyncio.Task[V]] = {}

    async def get(self, key: Hashable, look: Callable[[], Awaitable[V]]) -> V:
        """The kept answer, or what ``look`` gives; what it raises, and ``None``, is not kept."""
        until, answer = self._answers.get(key, (0.0, None))
        if answer is not None and until > time.monotonic():
            return answer
        # A task belongs to its loop.
        place = asyncio.get_running_loop(), key
        if place not in self._looking:
            self._looking[place] = looking = asyncio.create_task(self._look(key, look))
            looking.add_done_callback(lambda task: self._looked(place, task))
        # One caller that leaves takes nothing from the others.
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
            # Heard here too, for callers that have all left.
            looking.exception()

    def forget(self) -> None:
        """After a change that is to count at once: what is being looked for now is not used by others."""
        self._answers, self._looking = {}, {}
