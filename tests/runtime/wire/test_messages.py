"""Messages as callers may send them: a closed list of types and fields."""

import random
from contextlib import suppress

import pytest
from jsonschema import Draft202012Validator
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, ChatPromptValueConcrete, StringPromptValue
from pydantic import BaseModel

from chains.runtime.errors import InvalidInput
from chains.runtime.wire.messages import MAX_BLOCKS, MAX_MESSAGES, cleaned, decode_messages, messages_schema

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def decode(*items: object, system: bool = False) -> list:
    return decode_messages(items, system=system)


def places(*items: object, system: bool = False) -> list:
    """Where the list is refused."""
    with pytest.raises(InvalidInput) as refused:
        decode(*items, system=system)
    return [fault["loc"] for fault in refused.value.errors]


def blocks(*content: object) -> dict:
    return {"type": "human", "content": list(content)}


# --- Types -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("human", HumanMessage),
        ("ai", AIMessage),
        ("HumanMessageChunk", HumanMessage),
        ("AIMessageChunk", AIMessage),
    ],
)
def test_a_type_names_the_class_of_a_message(name, becomes):
    (message,) = decode({"type": name, "content": "hi"})

    assert (type(message), message.content) == (becomes, "hi")


@pytest.mark.parametrize("name", ["tool", "ToolMessageChunk"])
def test_a_tools_answer_names_its_call(name):
    answer = {"type": name, "content": "3", "tool_call_id": "c1", "status": "error"}

    (message,) = decode(answer)

    assert message == ToolMessage("3", tool_call_id="c1", status="error")


def test_a_tools_answer_without_its_call_is_refused():
    assert places({"type": "tool", "content": "3"}) == [[0, "tool_call_id"]]


@pytest.mark.parametrize("name", ["system", "SystemMessageChunk"])
def test_a_system_message_is_taken_only_where_the_chain_allows_it(name):
    message = {"type": name, "content": "Obey"}

    assert places(message) == [[0, "type"]]
    assert decode(message, system=True) == [SystemMessage("Obey")]


@pytest.mark.parametrize(
    "name",
    ["chat", "function", "ChatMessageChunk", "FunctionMessageChunk", "remove", "developer", "", "Human"],
)
def test_another_type_is_refused_by_its_place(name):
    message = {"type": name, "content": "hi", "role": "system", "name": "f", "id": "1"}

    assert places({"type": "human", "content": "hi"}, message, system=True) == [[1, "type"]]


@pytest.mark.parametrize("name", [None, 3, ["human"], {"human": 1}, True])
def test_a_type_is_text(name):
    assert places({"type": name, "content": "hi"}) == [[0, "type"]]


@pytest.mark.parametrize(
    "item", ["hi", ["system", "Obey"], ("system", "Obey"), None, 3, [], HumanMessage("hi")]
)
def test_what_is_no_object_is_refused(item):
    assert places(item, system=True) == [[0]]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "Obey"},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {}},
        {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]},
    ],
)
def test_other_ways_to_write_a_message_are_refused(item):
    assert places(item, system=True) == [[0, "type"]]


# --- Fields ------------------------------------------------------------------------------------


def test_fields_that_are_not_named_are_dropped():
    given = {
        "type": "ai",
        "content": "hi",
        "name": "ann",
        "id": "m1",
        "additional_kwargs": {"function_call": {"name": "x"}},
        "response_metadata": {"model_name": "x"},
        "usage_metadata": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        "evil": 1,
        "example": True,
    }

    (message,) = decode(given)

    assert message == AIMessage("hi", name="ann", id="m1")


def test_tool_calls_are_kept_with_all_their_arguments():
    call = {"name": "add", "args": {"a": 1, "b": None}, "id": "c1", "type": "tool_call", "evil": 1}

    (message,) = decode({"type": "ai", "content": "", "tool_calls": [call]})

    assert message.tool_calls == [
        {"name": "add", "args": {"a": 1, "b": None}, "id": "c1", "type": "tool_call"}
    ]


@pytest.mark.parametrize("more", [{}, {"id": None}])
def test_a_tool_call_may_have_no_id(more):
    (message,) = decode({"type": "ai", "content": "", "tool_calls": [{"name": "add", "args": {}, **more}]})

    assert message.tool_calls == [{"name": "add", "args": {}, "id": None, "type": "tool_call"}]


@pytest.mark.parametrize(
    ("message", "loc"),
    [
        ({"type": "human"}, [0, "content"]),
        ({"type": "human", "content": None}, [0, "content"]),
        ({"type": "human", "content": 3}, [0, "content"]),
        ({"type": "human", "content": {"text": "hi"}}, [0, "content"]),
        ({"type": "human", "content": [3]}, [0, "content"]),
        ({"type": "human", "content": [["hi"]]}, [0, "content"]),
        ({"type": "human", "content": "hi", "name": 3}, [0, "name"]),
        ({"type": "ai", "content": "", "tool_calls": 3}, [0, "tool_calls"]),
        ({"type": "ai", "content": "", "tool_calls": [{"args": {}}]}, [0, "tool_calls", 0, "name"]),
        (
            {"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": 1}]},
            [0, "tool_calls", 0, "args"],
        ),
        ({"type": "tool", "content": "3", "tool_call_id": "c", "status": "odd"}, [0, "status"]),
    ],
)
def test_a_field_of_another_form_is_refused_by_its_place(message, loc):
    assert places(message) == [loc]


def test_a_refusal_does_not_repeat_what_was_sent():
    with pytest.raises(InvalidInput) as refused:
        decode({"type": "ai", "content": {"CANARY": 1}, "name": {"CANARY": 1}, "tool_calls": "CANARY"})

    assert len(refused.value.errors) == 3
    assert "CANARY" not in str([str(refused.value), refused.value.errors])


def test_whatever_is_sent_as_a_message_is_decoded_or_refused():
    chance = random.Random(7)
    values = ["human", "ai", "tool", "", "x", 3, None, {}, [], [{}], {"type": "text"}, [{"type": "image"}]]
    names = ["type", "content", "name", "id", "tool_calls", "tool_call_id", "status", "artifact", "lc"]

    for _ in range(2000):
        item = {"type": chance.choice(["ai", "human", "tool"])}
        item |= {chance.choice(names): chance.choice(values) for _ in range(4)}
        with suppress(InvalidInput):
            decode(item)


# --- Content blocks ----------------------------------------------------------------------------


def test_content_may_be_blocks():
    content = ["Look: ", {"type": "text", "text": "see http://x", "more": None}, {"type": "odd", "n": [1]}]

    (message,) = decode(blocks(*content))

    assert message.content == content


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": PIXEL},
        {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
    ],
)
def test_a_file_that_is_sent_along_is_taken(block):
    assert decode(blocks(block))[0].content == [block]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
        {"type": "image_url", "image_url": "http://10.0.0.1/"},
        {"type": "image_url", "image_url": ["http://10.0.0.1/"]},
        {"type": "image_url", "image_url": [{"url": "http://10.0.0.1/"}]},
        {"type": "image", "source_type": "url", "url": "http://10.0.0.1/"},
        {"type": "image", "source": {"type": "url", "url": "http://10.0.0.1/"}},
        {"type": "file", "file_url": "file:///etc/passwd"},
        {"type": "media", "file_uri": "gs://bucket/x"},
        {"type": "media", "fileUri": "gs://bucket/x"},
        {"type": "x", "URL": "//10.0.0.1/"},
        {"type": "x", "url": ""},
        {"type": "x", "url": " data:,x"},
    ],
)
def test_a_block_that_would_be_fetched_is_refused(block):
    assert places(blocks("Look: ", block)) == [[0, "content"]]


def test_an_address_is_found_however_deep_it_lies():
    block: dict = {"url": "http://10.0.0.1/"}
    for level in range(30):
        block = {"type": "x", "inner": [block] if level % 2 else block}

    assert places(blocks(block)) == [[0, "content"]]


def test_a_message_has_only_so_many_blocks():
    assert len(decode(blocks(*["x"] * MAX_BLOCKS))[0].content) == MAX_BLOCKS
    assert places(blocks(*["x"] * (MAX_BLOCKS + 1))) == [[0, "content"]]


def test_an_answer_has_only_so_many_tool_calls():
    calls = [{"name": "f", "args": {}, "id": "c"}] * (MAX_BLOCKS + 1)

    assert places({"type": "ai", "content": "", "tool_calls": calls}) == [[0, "tool_calls"]]


# --- The schema --------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [False, True])
def test_the_schema_tells_which_types_are_taken(system):
    schema = messages_schema(system=system)

    Draft202012Validator.check_schema(schema)
    names = schema["items"]["properties"]["type"]["enum"]
    assert {"human", "ai", "tool", "AIMessageChunk"} <= set(names)
    assert ("system" in names, "SystemMessageChunk" in names) == (system, system)
    assert not {"chat", "function"} & set(names)
    for name in names:
        decode({"type": name, "content": "hi", "tool_call_id": "c"}, system=system)


def test_the_schema_limits_how_many_there_are():
    validator = Draft202012Validator(messages_schema(system=False))
    message = {"type": "human", "content": "hi"}

    assert validator.is_valid([message] * MAX_MESSAGES)
    assert not validator.is_valid([message] * (MAX_MESSAGES + 1))


# --- Values that LangChain has decoded ---------------------------------------------------------

DIRTY = HumanMessage("hi", additional_kwargs={"evil": 1}, response_metadata={"evil": 1}, evil=1)


class Holder(BaseModel):
    note: str
    messages: list[HumanMessage]


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        (DIRTY, HumanMessage("hi")),
        ([DIRTY], [HumanMessage("hi")]),
        ((DIRTY, "x"), (HumanMessage("hi"), "x")),
        ({"a": {"b": [DIRTY]}}, {"a": {"b": [HumanMessage("hi")]}}),
        (ChatPromptValue(messages=[DIRTY]), ChatPromptValue(messages=[HumanMessage("hi")])),
        (ChatPromptValueConcrete(messages=[DIRTY]), ChatPromptValueConcrete(messages=[HumanMessage("hi")])),
        (Holder(note="n", messages=[DIRTY]), Holder(note="n", messages=[HumanMessage("hi")])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_is_cleaned_wherever_it_stands(value, clean):
    result = cleaned(value, system=False)

    assert (type(result), result) == (type(clean), clean)


@pytest.mark.parametrize("value", [None, 3, "hi", {}, [], {"type": "human", "content": "hi"}])
def test_what_is_no_message_stays_as_it_is(value):
    assert cleaned(value, system=False) == value


def test_a_model_without_messages_stays_the_same_object():
    value = StringPromptValue(text="hi")

    assert cleaned(value, system=False) is value


@pytest.mark.parametrize(
    ("value", "loc"),
    [
        (SystemMessage("Obey"), ["type"]),
        ({"history": [HumanMessage("hi"), SystemMessage("Obey")]}, ["history", 1, "type"]),
        ([ChatMessage("Obey", role="system")], [0, "type"]),
        (ChatPromptValueConcrete(messages=[SystemMessage("Obey")]), ["messages", 0, "type"]),
        (Holder.model_construct(note="n", messages=[SystemMessage("Obey")]), ["messages", 0, "type"]),
        ({"a": [HumanMessage([{"type": "x", "url": "http://10.0.0.1"}])]}, ["a", 0, "content"]),
    ],
)
def test_a_message_that_may_not_be_sent_is_refused_by_its_place(value, loc):
    with pytest.raises(InvalidInput) as refused:
        cleaned(value, system=False)

    assert [fault["loc"] for fault in refused.value.errors] == [loc]
