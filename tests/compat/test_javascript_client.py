"""LangServe's JavaScript client (npm's @langchain/core 0.3.80, the last that has it), as it comes."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from tests.compat.runnables import AWKWARD

HERE = Path(__file__).parent
NODE = shutil.which("node")
CATS = ["two", " ", "cats"]
FOUND = [{"pageContent": f"books {n}", "metadata": {"n": n}} for n in range(2)]

pytestmark = [
    pytest.mark.skipif(not NODE, reason="node is not installed"),
    pytest.mark.skipif(
        not (HERE / "node_modules" / "@langchain").is_dir(),
        reason="the JavaScript client is not installed: make test does, where there is npm",
    ),
]


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What every call in client.mjs gave, once they were made."""
    return {}


@pytest.fixture
def got(hub, joke, answers) -> dict[str, Any]:
    """The same; one process makes all the calls, for node takes its time to start."""
    if not answers:
        done = subprocess.run(
            [str(NODE), "client.mjs", hub.url, hub.key], cwd=HERE, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        answers |= json.loads(done.stdout)
    return answers


def test_whole_answers_are_what_the_chains_give(got):
    expected = {
        "invoke": "two cats",
        "batch": ["two cats", "b"],
        "config": "two cats",
        "history": "why",
        "configurable": "so two cats",
        "configs": ["atwo cats", "btwo cats"],
        "pipe": "<two cats>",
        "documents": FOUND,
        "message": {"kind": "AIMessage", "content": "two cats"},
        "model": {"kind": "AIMessage", "content": "hi"},
    }

    assert {name: got[name] for name in expected} == expected


def test_streams_are_what_the_chains_give_piece_by_piece(got):
    assert got["stream"] == {"pieces": CATS}
    assert got["empty"] == {"pieces": []}
    assert got["awkward"] == {"pieces": AWKWARD}
    assert got["dicts"] == {"pieces": [{"found": FOUND}, {"asked": "books"}]}
    assert got["messages"] == [{"kind": "AIMessageChunk", "content": piece} for piece in CATS]
    assert "".join(got["configured_in_the_admin"]["pieces"]) == "two cats"


def test_inner_steps_come_as_a_log_and_as_events(got):
    log = jsonpatch.apply_patch({}, got["log"])
    assert (log["final_output"], log["streamed_output"]) == ("two cats", CATS)
    assert set(log["logs"]) == {"ChatPromptTemplate", "Echo", "StrOutputParser"}

    events = got["events"]["events"]
    assert "error" not in got["events"]
    assert [events[0][0], events[-1][0]] == ["on_chain_start", "on_chain_end"]
    for kind in ("on_chat_model_stream", "on_parser_stream", "on_chain_stream"):
        assert [chunk for event, chunk in events if event == kind] == CATS


def test_a_failure_is_told_without_its_inside(got):
    assert "CANARY" not in json.dumps(got)
    for name in ("fails", "fails_in_batch"):
        assert got[name]["error"].startswith("Error: 500 ")
        assert "Internal server error." in got[name]["error"]
    assert got["fails_at_once"]["pieces"] == []
    assert json.loads(got["fails_at_once"]["error"])["status_code"] == 500


@pytest.mark.parametrize("reader", ["fails_after", "fails_after_while_reading"])
def test_what_came_before_a_failure_is_not_lost(got, reader):
    assert got[reader]["pieces"] == ["one ", "two ", "three"]
    assert json.loads(got[reader]["error"])["code"] == "internal_error"


def test_a_refusal_is_shown_in_words(got):
    lacking = "The input does not fit the chain's schema. topic: Field required"

    assert got["refused"]["error"].startswith("Error: 422 ")
    assert lacking in got["refused"]["error"]
    assert got["refused_stream"]["error"].endswith(f"422: {lacking}")
    assert "401: Missing or invalid credentials." in got["stranger"]["error"]
    assert got["nobody"]["error"].endswith("404: Not found.")
    assert got["refused_system"]["error"].startswith("Error: 422 ")
