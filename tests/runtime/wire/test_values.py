"""Values as they cross a wire."""

import dataclasses
import datetime
import enum
import json
import uuid
from decimal import Decimal

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import StringPromptValue

from chains.runtime.wire.values import encode

PLAIN = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
AI = PLAIN | {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}


@dataclasses.dataclass
class Point:
    x: int
    label: str


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (HumanMessage("h"), PLAIN | {"content": "h", "type": "human"}),
        (SystemMessage("s"), PLAIN | {"content": "s", "type": "system"}),
        (AIMessage("a"), AI | {"content": "a", "type": "ai"}),
        (
            AIMessageChunk("a", chunk_position="last"),
            AI | {"content": "a", "type": "AIMessageChunk", "tool_call_chunks": [], "chunk_position": "last"},
        ),
        (
            ToolMessage("t", tool_call_id="c"),
            PLAIN
            | {"content": "t", "type": "tool", "tool_call_id": "c", "artifact": None, "status": "success"},
        ),
        (
            Document("p", metadata={"n": 1}),
            {"id": None, "metadata": {"n": 1}, "page_content": "p", "type": "Document"},
        ),
        (StringPromptValue(text="t"), {"text": "t", "type": "StringPromptValue"}),
        (Point(1, "a"), {"x": 1, "label": "a"}),
        ((1, [2.5, None, True]), [1, [2.5, None, True]]),
        (Colour.RED, "red"),
        (datetime.date(2026, 11, 21), "2026-11-21"),
        (datetime.datetime(2026, 11, 21, 4, 5, tzinfo=datetime.UTC), "2026-11-21T04:05:00+00:00"),
        (datetime.time(4, 5), "04:05:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("0.10"), "0.10"),
        (float("nan"), None),
        ({"a": [float("inf"), -float("inf")]}, {"a": [None, None]}),
        ("a\x00b\ud800c", "a\ufffdb\ufffdc"),
        ({"k\x00": "v"}, {"k\ufffd": "v"}),
        ("\N{PILE OF POO}\u2028", "\N{PILE OF POO}\u2028"),
    ],
)
def test_a_value_has_the_shape_of_the_wire(value, expected):
    encoded = encode(value)

    assert encoded == expected
    json.dumps(encoded, allow_nan=False).encode()


@pytest.mark.parametrize(
    "value", [b"x", {1}, frozenset(), object(), Point, {1: "a"}, [b""], {"a": {"b": {2}}}]
)
def test_what_has_no_json_form_is_a_type_error(value):
    with pytest.raises(TypeError, match="has no JSON form"):
        encode(value)


def test_data_that_looks_like_one_of_langchains_objects_stays_data():
    secret = {"lc": 1, "type": "secret", "id": ["SECRET_KEY"]}
    built = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {}}

    assert encode([secret, built]) == [secret, built]


def test_what_is_encoded_is_encoded_already():
    once = encode({"m": AIMessage("a\x00"), "n": float("nan"), "p": [Point(1, "x")]})

    assert encode(once) == once


def named(value: object) -> str:
    return f"<{type(value).__name__}>"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({1: "a"}, {"1": "a"}),
        ({("a", 1): {2}}, {"('a', 1)": "<set>"}),
        ([b"x", object], ["<bytes>", "<type>"]),
        ({"a": Decimal("1.5"), "b": [object()]}, {"a": "1.5", "b": ["<object>"]}),
    ],
)
def test_what_has_no_json_form_may_be_told_by_its_type(value, encoded):
    assert encode(value, unknown=named) == encoded
