"""The buffer between a run and its reader; a slow reader makes the run wait."""

import asyncio

from chains.runtime.events import Event, Failed, Finished

# How many events may wait for a reader. If more would wait, the run stops reading the provider's stream.
READER_LAG = 64


class Events:
    """A queue of events. ``put`` waits while READER_LAG events are in it; ``put_last`` never waits."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._room = asyncio.Semaphore(READER_LAG)

    async def put(self, event: Event) -> None:
        await self._room.acquire()
        self._queue.put_nowait(event)

    def put_last(self, event: Finished | Failed) -> None:
        self._queue.put_nowait(event)

    async def get(self) -> Event:
        event = await self._queue.get()
        self._room.release()
        return event

    @property
    def any_waiting(self) -> bool:
        return not self._queue.empty()

    def get_nowait(self) -> Event:
        event = self._queue.get_nowait()
        self._room.release()
        return event
