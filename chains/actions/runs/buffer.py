"""Between a run and its reader: events that wait, and the wait of a run whose reader is slow."""

import asyncio

from chains.runtime.events import Event, Failed, Finished

# Events that wait for a reader; a slower reader slows the provider's stream down.
READER_LAG = 64


class Events:
    """Events on their way to a reader, who slows the writer down once it lags; the last one never waits."""

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
