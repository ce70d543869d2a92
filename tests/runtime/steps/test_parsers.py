"""What becomes of a model's answer."""

import asyncio
import json
import time

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk

from chains.runtime.errors import OutputInvalid
from chains.runtime.steps.parsers import Parser, combine, output_schema, parsed
from tests.runtime.helpers import plan, run, step, target
from tests.upstream import answers

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def parser(kind: str, schema: dict | None = None) -> Parser:
    return Parser(kind=kind, json_schema=schema)


@pytest.mark.parametrize("text", ['{"n": 3}', 'Here:\n```json\n{"n": 3}\n```'])
def test_json_is_found_in_an_answer_with_or_without_a_schema(text):
    assert parsed(parser("json"), text) == parsed(parser("schema", SCHEMA), text) == {"n": 3}


@pytest.mark.parametrize(
    ("text", "place"),
    [("{}", r"\$\."), ('{"n": "3"}', r"\$\.n\."), ('{"n": 1, "m": 2}', r"\$\."), ("[]", r"\$\.")],
)
def test_an_answer_that_breaks_its_schema_is_refused_naming_the_place(text, place):
    with pytest.raises(OutputParserException, match=f"breaks its JSON Schema at {place}"):
        parsed(parser("schema", SCHEMA), text)


def test_a_schema_that_refers_to_itself_is_refused_and_does_not_end_the_process():
    schema = {"type": "object", "$ref": "#"}

    with pytest.raises(OutputParserException, match="refers to itself"):
        parsed(parser("schema", schema), "{}")


def test_references_that_multiply_are_not_followed_for_ever():
    doubled = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    schema = {"type": "object", "$ref": "#/$defs/d0", "$defs": doubled | {"d40": {}}}

    with pytest.raises(OutputParserException, match="too much work"):
        parsed(parser("schema", schema), "{}")


ITEMS = {"a": [{"b": number, "c": "x" * 10} for number in range(120)]}
MANY = {"a": [{name: 1} for name in "abcdefghij"] * 200}
NAMES = [f"name {number}" for number in range(4000)]
EACH = {"items": {"properties": {"b": {"type": "integer"}}}}
DOUBLED = {"allOf": [{"properties": {"a": {"$ref": "#/$defs/S"}}}] * 2}
DEEP = json.loads('{"a":' * 60 + "{}" + "}" * 60)
HEAVY = {
    "many schemas for one list": ({"allOf": [{"properties": {"a": EACH}}] * 700}, ITEMS),
    "many errors that quote the answer": ({"anyOf": [{"not": {"required": ["a"]}}] * 1200}, MANY),
    "many names for each item": (
        {"properties": {"a": {"items": {"anyOf": [{"required": NAMES}, {}]}}}},
        MANY,
    ),
    "many values for each item": ({"properties": {"a": {"items": {"anyOf": [{"enum": NAMES}, {}]}}}}, MANY),
    "twice as much at each level": ({"$defs": {"S": DOUBLED}, "$ref": "#/$defs/S"}, DEEP),
    "what no other keyword covers": (
        {"allOf": [{"properties": {f"x{i}": {}}} for i in range(1000)], "unevaluatedProperties": False},
        {f"k{number}": 1 for number in range(2000)},
    ),
}


@pytest.mark.parametrize("case", HEAVY)
def test_validation_takes_no_more_work_than_it_may(case):
    schema, answer = HEAVY[case]

    with pytest.raises(OutputParserException, match="too much work"):
        parsed(parser("schema", {"type": "object", **schema}), json.dumps(answer))


@pytest.mark.alone
async def test_long_validation_keeps_nobody_waiting(upstream):
    schema, answer = HEAVY["many schemas for one list"]
    by_schema = {"kind": "schema", "json_schema": {"type": "object", **schema}}
    upstream.script(answers('{"a": 1}'), answers(json.dumps(answer)))
    # The first call imports what it needs.
    await run(plan(step(target(upstream), parser="json")))
    heavy = asyncio.create_task(run(plan(step(target(upstream), parser=by_schema))))
    longest = 0.0

    while not heavy.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - began)

    with pytest.raises(OutputInvalid):
        await heavy
    assert longest < 0.1


def test_a_schema_that_is_too_large_is_refused_in_few_words():
    with pytest.raises(ValueError, match="more than 10000 values"):
        parser("schema", {"type": "object", "required": [f"n{number}" for number in range(10_000)]})
    with pytest.raises(ValueError, match="Not a JSON Schema") as refused:
        parser("schema", {"type": "object", "required": ["b"] * 5000})
    assert len(str(refused.value)) < 1000


def test_many_items_may_refer_to_one_schema():
    step = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}}},
        "$defs": {"Step": step},
    }
    answer = {"steps": [{"name": "x"}] * 5000}

    assert parsed(parser("schema", schema), json.dumps(answer)) == answer


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("red, green,blue", ["red", "green", "blue"]),
        ('x,"a, b",y', ["x", "a, b", "y"]),
        ("", []),
        ("one", ["one"]),
    ],
)
def test_a_list_is_read_with_its_quotes(text, items):
    assert parsed(parser("list"), text) == items


async def test_a_list_is_the_same_where_its_pieces_are_cut_within_quotes(upstream):
    upstream.script(answers('x,"a, b",y'))

    ran = await run(plan(step(target(upstream), parser="list")))

    assert ran.output == ["x", "a, b", "y"]


def test_a_mebibyte_of_one_item_is_read_in_linear_time():
    began = time.process_time()
    parsed(parser("list"), "x" * 1024 * 1024)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("kind", "chunks", "output"),
    [
        ("text", ["a", "b"], "ab"),
        ("text", [], ""),
        ("list", [["a"], ["b", "c"]], ["a", "b", "c"]),
        ("list", [], []),
        ("json", [{"a": 1}], {"a": 1}),
        ("json", [], None),
    ],
)
def test_chunks_add_up_to_the_output(kind, chunks, output):
    assert combine(parser(kind), chunks) == output


def test_message_chunks_add_up_to_a_message():
    whole = combine(parser("message"), [AIMessageChunk("a"), AIMessageChunk("b", chunk_position="last")])

    assert (type(whole), whole.content) == (AIMessage, "ab")


def test_each_parser_says_what_its_output_looks_like():
    schemas = {kind: output_schema(parser(kind)).get("type") for kind in ("text", "message", "json", "list")}

    assert schemas == {"text": "string", "message": "object", "json": None, "list": "array"}
    assert output_schema(parser("schema", SCHEMA)) == SCHEMA
