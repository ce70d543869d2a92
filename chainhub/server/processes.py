"""Starts several processes that share one listening socket, replaces those that die, and stops them all."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chainhub.server.signals import StopSignals

logger = logging.getLogger(__name__)

# Seconds before a process that died is replaced: the first time at once, then longer each time, until a
# process has lived for STEADY_S.
PAUSES_S = (0, 1, 2, 4, 8, 16, 30)
STEADY_S = 30
READY, STOP, HURRY = b".", b"s", b"h"


def listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """Return a listening socket that several processes may accept from; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    everywhere = host == "::" and socket.has_dualstack_ipv6()
    listening = socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=everywhere)
    listening.setblocking(False)
    return listening


def inherited(fd: int) -> socket.socket:
    """Return the socket that the supervisor passed to this process. Our child processes do not inherit it."""
    given = socket.socket(fileno=fd)
    given.set_inheritable(False)
    return given


class Lifeline:
    """A worker's end of the socket pair that connects it to its supervisor.

    The worker sends that it is ready. The supervisor sends when to stop and when to hurry. Signals cannot
    do this: hosts send their signal to every process, and a second one would mean to hurry.
    """

    def __init__(self, fd: int):
        self._socket = inherited(fd)

    def say_ready(self) -> None:
        self._socket.send(READY)

    def listen(
        self, loop: asyncio.AbstractEventLoop, *, stop: Callable[[], None], hurry: Callable[[], None]
    ) -> None:
        """Call ``stop`` for each message from the supervisor, and when the supervisor has died.

        Call ``hurry`` as well if the message asks for that.
        """

        def hear() -> None:
            heard = self._socket.recv(16)
            stop()
            if HURRY in heard:
                hurry()
            if not heard:
                loop.remove_reader(self._socket)

        loop.add_reader(self._socket, hear)


@dataclass(kw_only=True, eq=False)
class Worker:
    process: asyncio.subprocess.Process
    line: socket.socket
    ready: bool = False


class Supervisor:
    """Runs ``command`` in ``count`` worker processes.

    In ``command``, ``{socket}`` becomes the file descriptor of the listening socket and ``{lifeline}`` that
    of the worker's Lifeline; the worker inherits both. The supervisor replaces a worker that dies. If a
    worker dies before any worker has been ready, the supervisor stops all of them, because the next one
    would fail in the same way. ``buried`` is called with the process id of each worker that has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        listening: socket.socket,
        count: int,
        stop_within_s: float,
        ready_within_s: float = 60,
        buried: Callable[[int], None] = lambda pid: None,
    ):
        self.command, self.listening, self.count = command, listening, count
        self.stop_within_s, self.ready_within_s, self.buried = stop_within_s, ready_within_s, buried
        self.workers: set[Worker] = set()
        self.stopping = asyncio.Event()
        self.ever_ready = self.failed = False

    async def run(self) -> bool:
        """Run until SIGTERM or SIGINT, and until all workers have ended; return whether all went well."""
        loop = asyncio.get_running_loop()
        StopSignals(loop, stop=self.stop, hurry=self.stop).listen()
        keepers = [asyncio.create_task(self._keep_one()) for _ in range(self.count)]
        for keeper in keepers:
            keeper.add_done_callback(self._kept)
        await self.stopping.wait()
        _, late = await asyncio.wait(keepers, timeout=self.stop_within_s)
        for worker in self.workers:
            logger.error("Worker %d does not end, and is killed", worker.process.pid)
            with suppress(ProcessLookupError):
                worker.process.kill()
        if late:
            await asyncio.wait(late)
        return not (late or self.failed)

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        if error := keeper.exception():
            logger.error("The supervisor failed: the server stops", exc_info=error)
            self.failed = True
            self.stop()

    def stop(self) -> None:
        """Ask all workers to stop. A second call asks them to hurry."""
        word = HURRY if self.stopping.is_set() else STOP
        self.stopping.set()
        # When the workers have closed their copies too, the system refuses new connections.
        self.listening.close()
        for worker in self.workers:
            self._tell(worker, word)

    def _tell(self, worker: Worker, word: bytes) -> None:
        # The worker may have ended just now.
        with suppress(OSError):
            if worker.ready:
                worker.line.send(word)
            else:
                # The worker has no runs to finish and does not read its lifeline yet.
                worker.process.terminate()

    async def _keep_one(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        while not self.stopping.is_set():
            began = loop.time()
            try:
                how = await self._live()
            except OSError as error:
                how = f"could not be started ({error})"
            if self.stopping.is_set():
                return
            if not self.ever_ready:
                logger.error("Worker %s before it was ready: the server stops", how)
                self.failed = True
                self.stop()
                return
            attempt = 0 if loop.time() - began >= STEADY_S else attempt
            pause_s = PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
            attempt += 1
            logger.error("Worker %s; the next one starts %s", how, f"in {pause_s} s" if pause_s else "now")
            try:
                await asyncio.wait_for(self.stopping.wait(), pause_s)
            except TimeoutError:
                continue

    async def _live(self) -> str:
        """Run one worker until it ends; return its process id and how it ended, for the log."""
        worker = await self._start()
        self.workers.add(worker)
        if self.stopping.is_set():
            self._tell(worker, STOP)
        try:
            async with asyncio.timeout(self.ready_within_s):
                worker.ready = bool(await asyncio.get_running_loop().sock_recv(worker.line, len(READY)))
        except TimeoutError:
            logger.error("Worker %d hangs, and is killed", worker.process.pid)
            worker.process.kill()
        if worker.ready:
            self.ever_ready = True
            logger.info("Worker %d is ready", worker.process.pid)
        code = await worker.process.wait()
        self.workers.discard(worker)
        worker.line.close()
        self.buried(worker.process.pid)
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        return f"{worker.process.pid} {ended}"

    async def _start(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                places = {"socket": self.listening.fileno(), "lifeline": theirs.fileno()}
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *(part.format(**places) for part in self.command),
                    pass_fds=tuple(places.values()),
                    # Ctrl-C in a terminal sends SIGINT to the complete process group. Workers are in
                    # sessions of their own, so that only the supervisor gets it.
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        return Worker(process=process, line=ours)
