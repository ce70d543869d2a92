"""Daphne, with an orderly end: runs under way are recorded as interrupted before the process exits."""

import asyncio

from daphne.server import Server, reactor
from twisted.internet.defer import Deferred

from chains.actions.runs import interrupt_runs

STOP_WITHIN_S = 10


class DrainingServer(Server):
    """On SIGTERM and Ctrl-C the applications are ended only once every run's end is recorded."""

    def kill_all_applications(self) -> "Deferred[None]":
        # Twisted waits for a Deferred that comes from a trigger before its shutdown.
        return Deferred.fromFuture(asyncio.ensure_future(self._drain(), loop=reactor._asyncioEventloop))

    async def _drain(self) -> None:
        runs = interrupt_runs()
        if runs:
            await asyncio.wait([asyncio.ensure_future(run.ended()) for run in runs], timeout=STOP_WITHIN_S)
            # One more turn, in which the readers pass the end on to their clients.
            await asyncio.sleep(0.1)
        super().kill_all_applications()
