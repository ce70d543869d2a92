"""A chain over a WebSocket: what is said, and what is refused."""

import json
import time
from contextlib import suppress

import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chains.models import Chain, Run
from chains.ws.consumers import MAX_SOCKETS_OF_A_USER
from tests.conftest import add_chain, step, wait_until
from tests.upstream import cut
from tests.ws.conftest import Socket, close_code, kinds

LIMIT = settings.WEBSOCKET_MAX_FRAME_BYTES


# --- Runs --------------------------------------------------------------------------------------


def test_a_run_is_told_from_its_start_to_its_end(open_socket, joke, alice):
    messages = open_socket().run("hello brave world")

    run = Run.objects.get()
    assert kinds(messages) == ["started", "step", "chunk", "chunk", "chunk", "step", "finished"]
    started, *_, finished = messages
    expected = {"run_id": str(run.id), "chain": "joke", "version": 1, "prompts": {"joke": 1}}
    assert started.items() >= expected.items()
    assert "".join(m["value"] for m in messages if m["type"] == "chunk") == "hello brave world"
    expected = {"run_id": str(run.id), "output": "hello brave world", "finish_reason": "stop"}
    assert finished.items() >= expected.items()
    assert finished["input_tokens"] == finished["output_tokens"] == 3
    assert finished["latency_ms"] >= finished["first_token_ms"] >= 0
    assert (run.source, run.status, run.user_id, run.key_id) == ("ws", "succeeded", alice.pk, None)


def test_several_runs_go_one_after_another_on_one_socket(open_socket, joke):
    socket = open_socket()

    outputs = [socket.run(topic)[-1]["output"] for topic in ("one", "two", "three")]

    assert outputs == ["one", "two", "three"]
    assert Run.objects.filter(status="succeeded").count() == 3


def test_a_socket_belongs_to_the_version_in_its_address(open_socket, joke):
    add_chain("joke", step(extra={"reply": "new"}))

    assert open_socket("joke@1").run("old")[-1]["output"] == "old"
    assert open_socket("joke").run("old")[-1]["output"] == "new"


def test_text_of_any_kind_arrives_as_it_is(open_socket, joke):
    text = '<script>alert(1)</script> "\u2028 🔑 \x1b[31m {topic}'

    assert open_socket().run(text)[-1]["output"] == text


def test_a_providers_fault_is_a_failed_run_and_the_socket_goes_on(open_socket, poem, upstream):
    upstream.script(cut(after_chunks=2))
    socket = open_socket("poem")

    failed = socket.run()[-1]

    assert (failed["type"], failed["status"], failed["code"]) == ("failed", "failed", "provider_cut")
    assert failed["run_id"] == str(Run.objects.get().id)
    assert "CANARY" not in json.dumps(failed)
    assert socket.run()[-1]["type"] == "finished"


def test_a_long_answer_arrives_whole(open_socket, joke):
    add_chain("joke", step(extra={"reply": "x" * 300_000}))

    assert open_socket().run()[-1]["output"] == "x" * 300_000


# --- Refused starts ----------------------------------------------------------------------------


def test_an_input_that_does_not_fit_is_refused_and_the_socket_goes_on(open_socket, joke):
    socket = open_socket()

    for value in [{}, {"topic": 3}, None, "cats", [], 3]:
        socket.send(type="start", input=value)
        refused = socket.receive()

        assert (refused["type"], refused["code"]) == ("error", "invalid_input")
        assert refused["errors"]
    assert socket.run()[-1]["type"] == "finished"
    assert Run.objects.count() == 1


@pytest.mark.parametrize("ref", ["nope", "joke@nope", "joke@7", "off", "private", "unpublished"])
def test_what_one_may_not_run_is_not_found_whatever_the_reason(open_socket, joke, ref):
    for slug in ("off", "private"):
        add_chain(slug, *joke.latest().spec["steps"])
    Chain.objects.filter(slug="off").update(enabled=False)
    Chain.objects.filter(slug="private").update(access=Chain.Access.GROUPS)
    Chain.objects.create(slug="unpublished").save_spec(joke.latest().parsed, author=None)
    socket = open_socket(ref)

    socket.start()

    assert socket.receive() == {"type": "error", "code": "not_found", "message": "Not found."}
    assert socket.ping() == {"type": "pong"}
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "ref", ["%00", "joke@%00", "joke@", "..", "x" * 5000, "@", "%FF", "Joke", "joke@1@2"]
)
def test_a_ref_of_nonsense_is_refused_or_not_found(open_socket, joke, ref):
    with suppress(InvalidStatus):
        socket = open_socket(ref)
        socket.start()
        assert socket.receive()["code"] == "not_found"


def test_a_permission_is_asked_for_at_each_start(open_socket, joke):
    socket = open_socket()
    assert socket.run()[-1]["type"] == "finished"

    Chain.objects.update(enabled=False)
    # What was resolved is kept for a moment.
    time.sleep(0.1)

    assert socket.run()[-1]["code"] == "not_found"


def test_a_chain_that_cannot_run_is_an_error_and_the_socket_goes_on(open_socket, joke, demo):
    demo.enabled = False
    demo.save()
    socket = open_socket()

    assert socket.run()[-1]["code"] == "invalid_spec"
    assert socket.ping() == {"type": "pong"}


# --- Bad frames --------------------------------------------------------------------------------

BAD_FRAMES = {
    "not JSON": "hello",
    "empty": "",
    "blank": " ",
    "list": "[]",
    "null": "null",
    "string": '"start"',
    "number": "3",
    "no type": "{}",
    "unknown type": '{"type": "explode"}',
    "type is null": '{"type": null}',
    "type is a list": '{"type": ["start"]}',
    "type is an object": '{"type": {"start": 1}}',
    "start without input": '{"type": "start"}',
    "duplicate keys": '{"type": "start", "input": {"topic": "x"}, "type": "cancel"}',
    "NaN": '{"type": "start", "input": {"topic": NaN}}',
    "1e400": '{"type": "start", "input": {"topic": 1e400}}',
    "large integer": '{"type": "start", "input": {"topic": 1' + "0" * 100 + "}}",
    "NUL": r'{"type": "start", "input": {"topic": "\u0000"}}',
    "lone surrogate": r'{"type": "start", "input": {"topic": "\ud800"}}',
    "deep nest": "[" * 60_000,
    "nest of 33": '{"type": "start", "input":' + "[" * 32 + "]" * 32 + "}",
    "binary": b'{"type": "ping"}',
    "empty binary": b"",
    "binary garbage": b"\xff\xfe\x00",
}


def test_a_bad_frame_is_an_error_and_the_socket_stays_open(open_socket, joke):
    for name, frame in BAD_FRAMES.items():
        socket = open_socket()

        socket.connection.send(frame)
        error = socket.receive()

        assert set(error) == {"type", "code", "message"}, name
        assert (error["type"], error["code"]) in (("error", "bad_frame"), ("error", "unknown_type")), name
        assert socket.ping() == {"type": "pong"}, name
    assert not Run.objects.exists()


def test_ten_bad_frames_close_the_socket(open_socket, joke):
    socket = open_socket()

    for _ in range(9):
        socket.connection.send("bad")
        assert socket.receive()["type"] == "error"
    assert socket.ping() == {"type": "pong"}
    socket.connection.send("bad")

    assert socket.receive()["type"] == "error"
    assert close_code(socket) == 4400


def test_a_flood_of_bad_frames_closes_the_socket_without_an_error_in_the_server(open_socket, joke):
    socket = open_socket()

    for _ in range(200):
        with suppress(ConnectionClosed):
            socket.connection.send(b"\0")

    assert close_code(socket) == 4400
    assert open_socket().ping() == {"type": "pong"}


def test_a_frame_that_is_just_small_enough_is_read(open_socket, joke):
    add_chain("joke", step(extra={"reply": "ok"}))
    frame = '{"type": "start", "input": {"topic": "x"}}'
    socket = open_socket()

    socket.connection.send(frame.ljust(LIMIT))

    assert socket.receive_until("finished")[-1]["output"] == "ok"


@pytest.mark.parametrize("frame", [" " * (LIMIT + 1), b" " * (LIMIT + 1)], ids=["text", "binary"])
def test_a_frame_that_is_too_large_closes_the_socket_with_a_code_of_its_own(open_socket, joke, frame):
    socket = open_socket()

    socket.connection.send(frame)

    assert close_code(socket) == 1009


def test_a_message_in_pieces_is_no_way_around_the_limit(open_socket, joke):
    socket = open_socket()

    socket.connection.send(" " * (LIMIT // 2 + 1) for _ in range(2))

    assert close_code(socket) == 1009


def test_one_user_has_a_limited_number_of_sockets(open_socket, joke):
    sockets = [open_socket() for _ in range(MAX_SOCKETS_OF_A_USER)]

    assert close_code(open_socket()) == 4429

    sockets.pop().connection.close()
    wait_until(lambda: answers_ping(open_socket()))


def answers_ping(socket: Socket) -> bool:
    with suppress(ConnectionClosed):
        return socket.ping() == {"type": "pong"}
    return False


def test_a_frame_that_is_far_too_large_ends_the_connection(open_socket, joke):
    socket = open_socket()

    with suppress(ConnectionClosed):
        socket.connection.send(" " * 20 * 1024 * 1024)

    assert close_code(socket) in (1009, None)
    assert open_socket().ping() == {"type": "pong"}
