"""What a provider said of a failure: editors are told on the playground's socket, and nobody else."""

import json

import pytest

from tests.conftest import add_chain, over_http
from tests.upstream import answers, fails
from tests.ws.conftest import session_cookie

SAID = "Unsupported value of MARZIPAN for the key {key}"


@pytest.fixture
def refusing(poem, upstream):
    upstream.script(*[fails(400, SAID, "unsupported_value")] * 2)


def test_an_editor_is_told_what_the_provider_said_without_the_key(open_socket, refusing, staff):
    failed = open_socket("poem", session_cookie(staff)).run()[-1]

    detail = failed["detail"]
    assert (detail["status"], detail["code"], detail["param"]) == (400, "unsupported_value", "")
    assert detail["message"] == "Unsupported value of MARZIPAN for the key …"
    assert detail["shown"] == f"status 400, code unsupported_value: {detail['message']}"
    assert failed["code"] == "provider_refused"


def test_others_get_our_own_words_only(open_socket, refusing):
    frames = open_socket("poem").run()

    assert frames[-1]["code"] == "provider_refused"
    assert "detail" not in frames[-1]
    assert "MARZIPAN" not in json.dumps(frames)


def test_a_failure_of_which_no_provider_told_has_no_detail(open_socket, poem, upstream, staff):
    add_chain("json", over_http("poem", parser={"kind": "json"}))
    upstream.script(answers("No."))

    failed = open_socket("json", session_cookie(staff)).run()[-1]

    assert failed["code"] == "output_invalid"
    assert "detail" not in failed
