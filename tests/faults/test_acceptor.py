"""Processes that share a listening socket: who takes a connection, and when none can."""

import asyncio
import os
import resource
import socket

import pytest

from chainhub.server.acceptor import Acceptor
from chainhub.server.processes import listen

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("names", [("busy", "idle"), ("idle", "busy")])
async def test_a_connection_goes_to_the_idler_of_two(names):
    listening = listen("127.0.0.1", 0, backlog=50)
    address = listening.getsockname()
    taken: dict[str, list[socket.socket]] = {name: [] for name in names}
    loads = {"busy": 10, "idle": 0}
    acceptors = {
        name: Acceptor(
            listening.dup(),
            shared=True,
            take=lambda connection, _, name=name: taken[name].append(connection),
            load=lambda name=name: loads[name],
        )
        for name in names
    }
    for acceptor in acceptors.values():
        acceptor.start(asyncio.get_running_loop())

    callers = [await asyncio.open_connection(*address) for _ in range(20)]
    # Far longer than the busy one waits.
    await asyncio.sleep(0.1)
    # Whatever arrives just as its wait is over is the busy one's all the same.
    assert len(taken["busy"]) < 5
    assert len(taken["busy"]) + len(taken["idle"]) == 20

    acceptors["idle"].stop()
    callers += [await asyncio.open_connection(*address)]
    await asyncio.sleep(0.1)
    assert len(taken["busy"]) + len(taken["idle"]) == 21

    acceptors["busy"].stop()
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    for connection in [*taken["busy"], *taken["idle"]]:
        connection.close()
    for _, writer in callers:
        writer.close()


async def test_without_free_files_connections_wait(caplog):
    listening = listen("127.0.0.1", 0, backlog=50)
    taken: list[socket.socket] = []
    acceptor = Acceptor(
        listening, shared=False, take=lambda connection, _: taken.append(connection), load=lambda: 0
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    caller = socket.socket()
    caller.setblocking(False)
    try:
        acceptor.start(asyncio.get_running_loop())
        free = os.dup(caller.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        await asyncio.get_running_loop().sock_connect(caller, listening.getsockname())
        await asyncio.sleep(0.2)
        assert taken == []
        assert "Connections cannot be accepted: [Errno 24] Too many open files" in caplog.text

        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.sleep(1)
        assert len(taken) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        acceptor.stop()
        for each in [caller, *taken]:
            each.close()
