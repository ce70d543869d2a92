"""A chain over a WebSocket: how a run is stopped, and what else ends a socket."""

import threading
import time

import pytest
from django.contrib.sessions.models import Session

from accounts.models import known_sessions
from chains.models import Run
from tests.conftest import wait_until
from tests.upstream import answers, held, silent
from tests.ws.conftest import close_code

# For so long a process knows who a session belongs to, whatever another one does to it meanwhile.
KNOWN_S = known_sessions.keep_s + 0.1


def statuses() -> list[str]:
    return list(Run.objects.values_list("status", flat=True))


# --- While a run is under way ------------------------------------------------------------------


def test_a_ping_is_answered_while_the_answer_streams(open_socket, poem, upstream):
    released = threading.Event()
    upstream.script(held("one two three", until=released))
    socket = open_socket("poem")
    socket.start()
    socket.receive_until("chunk")

    assert socket.ping() == {"type": "pong"}
    released.set()
    assert socket.receive_until("finished")[-1]["output"] == "one two three"


def test_a_second_start_is_told_that_the_socket_is_busy(open_socket, poem, upstream):
    upstream.script(silent())
    socket = open_socket("poem")
    socket.start()
    wait_until(lambda: upstream.requests)
    socket.receive_until("step")

    socket.start()

    assert socket.receive()["code"] == "busy"
    socket.send(type="cancel")
    socket.receive_until("failed")
    assert Run.objects.count() == 1


def test_two_starts_at_once_begin_one_run(open_socket, poem, upstream):
    released = threading.Event()
    upstream.script(held("one two", until=released))
    socket = open_socket("poem")

    socket.start()
    socket.start()
    messages = socket.receive_until("error")
    released.set()
    messages += socket.receive_until("finished")

    assert [message.get("code") for message in messages if message["type"] == "error"] == ["busy"]
    assert Run.objects.count() == 1


@pytest.mark.alone
def test_a_cancelled_run_ends_at_once_and_the_socket_goes_on(open_socket, poem, upstream):
    upstream.script(held("one two"))
    socket = open_socket("poem")
    socket.start()
    socket.receive_until("chunk")

    socket.send(type="cancel")
    failed = socket.receive_until("failed")[-1]

    assert (failed["status"], failed["code"]) == ("cancelled", "cancelled")
    run = Run.objects.get()
    assert (run.status, run.output) == ("cancelled", "one")
    wait_until(lambda: upstream.disconnects == 1, seconds=1)
    assert socket.run()[-1]["output"] == "Hello from upstream"


def test_a_run_that_is_cancelled_before_it_has_begun_is_told_to_have_ended(open_socket, poem, upstream):
    upstream.script(*[silent()] * 5)
    socket = open_socket("poem")

    for _ in range(5):
        socket.start()
        socket.send(type="cancel")
        assert socket.receive_until("failed")[-1]["status"] == "cancelled"

    assert set(statuses()) == {"cancelled"}
    wait_until(lambda: upstream.active == 0)


def test_a_cancel_without_a_run_is_no_fault_and_does_not_touch_the_next(open_socket, joke):
    socket = open_socket()

    for _ in range(12):
        socket.send(type="cancel")

    assert socket.run()[-1]["type"] == "finished"
    socket.send(type="cancel")
    assert socket.run()[-1]["type"] == "finished"


@pytest.mark.alone
@pytest.mark.parametrize("abrupt", [False, True], ids=["closed", "dropped"])
def test_a_socket_that_goes_away_takes_its_run_along(open_socket, poem, upstream, abrupt):
    upstream.script(silent())
    socket = open_socket("poem")
    socket.start()
    wait_until(lambda: upstream.requests)

    if abrupt:
        socket.connection.socket.close()
    else:
        socket.connection.close()

    wait_until(lambda: upstream.disconnects == 1, seconds=1)
    wait_until(lambda: statuses() == ["cancelled"], seconds=2)


@pytest.mark.alone
def test_a_socket_that_goes_away_in_the_middle_of_the_answer_takes_its_run_along(open_socket, poem, upstream):
    upstream.script(held("one two"))
    socket = open_socket("poem")
    socket.start()
    socket.receive_until("chunk")

    socket.connection.close()

    wait_until(lambda: upstream.disconnects == 1, seconds=1)
    wait_until(lambda: statuses() == ["cancelled"], seconds=2)


def test_a_socket_that_goes_away_at_once_leaves_nothing_running(open_socket, poem, upstream):
    upstream.script(*[silent()] * 10)

    for _ in range(10):
        socket = open_socket("poem")
        socket.start()
        socket.connection.close()

    def over():
        return upstream.active == 0 and not Run.objects.exclude(status="cancelled").exists()

    wait_until(over)
    # A start that was still on its way then is ended as well.
    time.sleep(0.5)
    wait_until(over)


def test_many_sockets_run_at_once_and_each_gets_its_own_answer(open_socket, poem, upstream):
    upstream.script(*[answers(lambda body: body["messages"][0]["content"], chunk_delay_s=0.05)] * 15)
    sockets = [open_socket("poem") for _ in range(15)]
    for number, socket in enumerate(sockets):
        socket.start(f"number {number}")

    for number, socket in enumerate(sockets):
        expected = f"A poem about number {number}"
        assert socket.receive_until("finished")[-1]["output"] == expected


# --- Sessions that end -------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [{"type": "start", "input": {"topic": "x"}}, {"type": "ping"}])
def test_a_socket_is_closed_once_its_session_has_ended(open_socket, joke, frame):
    socket = open_socket()
    assert socket.ping() == {"type": "pong"}

    Session.objects.all().delete()
    time.sleep(KNOWN_S)
    socket.send(**frame)

    assert close_code(socket) == 4401
    assert not Run.objects.exists()


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!another"}])
def test_a_socket_is_closed_once_its_user_may_no_longer_sign_in(open_socket, joke, alice, change):
    socket = open_socket()

    type(alice).objects.filter(pk=alice.pk).update(**change)
    time.sleep(KNOWN_S)
    socket.start()

    assert close_code(socket) == 4401
