"""When a client counts as one that takes nothing, by a clock of the test's own."""

import struct

import pytest
from twisted.internet.task import Clock

from chainhub.server.outlet import BYTES_ACKED, TCP_INFO_SIZE, Outlet


class Transport:
    """A socket of which the system tells how much was taken."""

    def __init__(self) -> None:
        self.taken, self.aborted, self.disconnecting, self.unregistered = 0, False, False, False

    def getHandle(self) -> "Transport":
        return self

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert size == TCP_INFO_SIZE
        return bytes(BYTES_ACKED) + struct.pack("=Q", self.taken)

    def abortConnection(self) -> None:
        self.aborted = True

    def unregisterProducer(self) -> None:
        self.unregistered = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def outlet(transport, clock) -> Outlet:
    return Outlet(transport, 30, clock)


def pass_seconds(clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.advance(1)


def test_a_client_that_takes_nothing_is_dropped_in_time(outlet, transport, clock):
    outlet.pauseProducing()
    pass_seconds(clock, 29)
    assert not transport.aborted

    pass_seconds(clock, 2)
    assert transport.aborted


def test_a_client_that_takes_a_byte_now_and_then_is_not(outlet, transport, clock):
    outlet.pauseProducing()
    for _ in range(10):
        pass_seconds(clock, 25)
        transport.taken += 1

    assert not transport.aborted
    assert outlet.full


@pytest.mark.parametrize("relief", ["resumeProducing", "stopProducing"])
def test_nobody_is_watched_for_whom_nothing_waits(outlet, transport, clock, relief):
    outlet.pauseProducing()
    getattr(outlet, relief)()
    pass_seconds(clock, 100)

    assert not transport.aborted
    assert not outlet.full
    assert not clock.getDelayedCalls()


async def test_who_sends_goes_on_when_there_is_room_again(outlet):
    await outlet.room()
    outlet.pauseProducing()
    assert outlet.full

    outlet.resumeProducing()
    await outlet.room()


def test_a_closing_connection_is_watched_until_it_has_gone(outlet, transport, clock):
    outlet.pauseProducing()
    transport.disconnecting = True
    outlet.resumeProducing()
    assert transport.unregistered

    pass_seconds(clock, 31)
    assert transport.aborted
