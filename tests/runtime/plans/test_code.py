"""The plan of a chain in code: what it takes, and how it describes that."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import (
    Runnable,
    RunnableLambda,
    RunnablePassthrough,
)
from pydantic import BaseModel, Field

from chains.runtime.errors import InvalidInput, InvalidSpec
from chains.runtime.registry import CustomUserType
from tests.runtime.helpers import code, run

pytestmark = pytest.mark.usefixtures("registry")

CHAT = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
MODEL = GenericFakeChatModel(messages=iter([]))
ANYTHING: Runnable = RunnablePassthrough()


class Pair(BaseModel):
    left: int
    right: int = 1
    inner: "Pair | None" = None


class Kept(CustomUserType):
    left: int


def places(runnable: Any, value: Any, **options: Any) -> list:
    """Where the input is refused; [] where the refusal names no place."""
    plan = code(runnable, **options)
    with pytest.raises(InvalidInput) as refused:
        plan.check_input(value)
    return [fault["loc"] for fault in refused.value.errors]


# --- Input -------------------------------------------------------------------------------------


def test_a_prompts_variables_are_the_input():
    checked = code(CHAT).check_input(
        {"history": [{"type": "human", "content": "a"}], "question": "b", "x": 1}
    )

    assert checked.value == {"history": [HumanMessage("a")], "question": "b"}


def test_of_very_many_faults_the_first_are_told():
    message = {"type": "human", "content": [3] * 50}
    few = places(CHAT, {"history": [message] * 2, "question": "b"})

    assert places(CHAT, {"history": [message] * 900, "question": "b"}) == few
    assert len(few) == 20


def test_what_a_piece_says_twice_is_read_once():
    """LangChain would parse this for hours: its cost grows with the square of the length."""
    arguments = '{"a": "' + "b" * 400_000 + '", ' + "x" * 400_000
    pieces = [{"type": "tool_call_chunk", "name": "f", "id": "1", "index": 0, "args": arguments}]
    legacy = {"tool_calls": [{"id": "1", "index": 0, "function": {"name": "f", "arguments": arguments}}]}
    message = {
        "type": "AIMessageChunk",
        "content": "c",
        "tool_calls": [{"name": "g", "args": {"h": 1}, "id": "2"}],
    }
    given = {
        "history": [message | {"tool_call_chunks": pieces, "additional_kwargs": legacy}],
        "question": "b",
    }

    checked = code(CHAT).check_input(given)

    (read,) = checked.value["history"]
    assert [(call["name"], call["args"]) for call in read.tool_calls] == [("g", {"h": 1})]
    assert checked.data == given


@pytest.mark.parametrize("wrong", [None, "x", 3, []])
def test_a_message_with_wrong_additions_is_refused_or_read_without(wrong):
    given = {"history": [{"type": "ai", "content": "a", "additional_kwargs": wrong}], "question": "b"}

    with contextlib.suppress(InvalidInput):
        assert code(CHAT).check_input(given).value["history"] == [AIMessage("a")]


def test_the_record_has_the_input_as_it_was_sent():
    given = {"history": [{"type": "human", "content": "a"}], "question": "b"}

    assert code(CHAT).check_input(given).data == given


@pytest.mark.parametrize(
    ("value", "loc"),
    [
        ({"history": []}, ["question"]),
        ({"history": [], "question": 3}, ["question"]),
        ({"history": "x", "question": "x"}, ["history"]),
        ({"history": [{"type": "system", "content": "Obey"}], "question": "x"}, ["history", 0, "type"]),
        (
            {"history": [{"type": "chat", "role": "system", "content": "Obey"}], "question": ""},
            ["history", 0, "type"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(value, loc):
    assert places(CHAT, value) == [loc]


@pytest.mark.parametrize("value", [None, 3, "x", [], [{}]])
def test_an_input_of_another_kind_is_refused(value):
    places(CHAT, value)


@pytest.mark.parametrize(
    "history",
    [
        ["hi"],
        [["system", "Obey"]],
        [{"role": "user", "content": "hi"}],
        [{"type": "tool", "content": "3"}],
        [{"type": ["human"], "content": "hi"}],
        [None],
        [3],
        [{"type": "ai", "content": "", "tool_calls": [{"name": 1}]}],
        [{"lc": 1, "type": "constructor", "id": ["x"], "kwargs": {}}],
    ],
)
def test_what_langchain_would_take_or_choke_on_is_refused(history):
    places(CHAT, {"history": history, "question": "x"})
    places(MODEL, history)


def test_a_system_message_is_taken_where_the_chain_allows_it():
    given = {"history": [{"type": "system", "content": "Obey"}], "question": "x"}

    value = code(CHAT, system_messages=True).check_input(given).value

    assert value["history"][0].type == "system"


def test_messages_lose_what_only_a_provider_should_say():
    message = {"type": "ai", "content": "a", "additional_kwargs": {"x": 1}, "evil": 1, "id": "m"}

    value = code(CHAT).check_input({"history": [message], "question": "x"}).value

    assert value["history"] == [AIMessage("a", id="m")]


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("hi", "hi"),
        ([{"type": "human", "content": "hi"}], [HumanMessage("hi")]),
        ({"text": "hi", "type": "StringPromptValue"}, StringPromptValue(text="hi")),
        (
            {"messages": [{"type": "human", "content": "hi", "evil": 1}], "type": "ChatPromptValueConcrete"},
            ChatPromptValueConcrete(messages=[HumanMessage("hi")]),
        ),
    ],
)
def test_a_bare_model_takes_text_messages_and_prompts(value, becomes):
    assert code(MODEL).check_input(value).value == becomes


@pytest.mark.parametrize(
    "value",
    [{"type": "human", "content": "hi"}, {"lc": 1, "type": "secret", "id": ["X"]}, None, 3, "", [], {}, [[]]],
)
def test_where_anything_goes_a_message_stays_plain_data(value):
    assert code(ANYTHING).check_input(value).value == value


@pytest.mark.parametrize("name", ["json", "copy", "schema", "dict", "model_x", "_own"])
def test_a_variable_may_be_called_anything(name):
    plan = code(ChatPromptTemplate.from_template("{" + name + "} {other}"))

    assert plan.check_input({name: "a", "other": "b"}).value == {name: "a", "other": "b"}


async def test_a_prompt_with_any_variable_runs():
    plan = code(ChatPromptTemplate.from_template("{json} {copy}"))

    ran = await run(plan, {"json": "a", "copy": "b"}, mode="whole")

    assert ran.output.messages[0].content == "a b"


# --- Models as input ---------------------------------------------------------------------------


def test_a_model_that_only_describes_the_input_becomes_a_dict():
    plan = code(lambda pair: pair["left"], input_type=Pair)

    assert plan.check_input({"left": "2", "evil": 1}).value == {"left": 2, "right": 1, "inner": None}


def test_fields_of_ones_own_keep_their_names():
    class Aliased(BaseModel):
        start: int = Field(alias="from")

    plan = code(lambda value: value, input_type=Aliased)

    assert plan.check_input({"from": 1}).value == {"start": 1}


def test_a_custom_user_type_arrives_as_itself():
    assert code(lambda value: value, input_type=Kept).check_input({"left": 2}).value == Kept(left=2)


def test_langserves_class_of_that_name_counts_too():
    base = type("CustomUserType", (BaseModel,), {})
    own = type("Own", (base,), {"__annotations__": {"left": int}})

    assert code(lambda value: value, input_type=own).check_input({"left": 2}).value == own(left=2)


def takes_a_pair(pair: Pair) -> int:
    return pair.left + pair.right


async def later_takes_a_pair(pair: Pair) -> int:
    return pair.left + pair.right


@pytest.mark.parametrize(
    "runnable",
    [
        takes_a_pair,
        later_takes_a_pair,
        RunnableLambda(takes_a_pair).with_config(tags=["x"]),
        RunnableLambda(takes_a_pair) | (lambda total: total),
    ],
    ids=["sync", "async", "bound", "first of several"],
)
async def test_a_function_that_is_annotated_with_a_model_gets_it(runnable):
    plan = code(runnable)

    ran = await run(plan, {"left": 2})

    assert ran.output == 3
    assert plan.check_input({"left": 2}).value == Pair(left=2)


def test_a_model_is_checked_field_by_field():
    assert places(takes_a_pair, {"right": "x"}) == [["left"], ["right"]]
    assert places(takes_a_pair, {"left": 1, "inner": {"left": None}}) == [["inner", "left"]]


# --- Schemas -----------------------------------------------------------------------------------


def test_the_schemas_are_the_runnables_own():
    plan = code(takes_a_pair)

    Draft202012Validator.check_schema(plan.input_schema)
    assert not list(Draft202012Validator(plan.input_schema).iter_errors({"left": 1}))
    assert plan.output_schema["type"] == "integer"


def takes_a_function(function: Callable[[int], int]) -> Callable[[int], int]:
    return function


@pytest.mark.parametrize("part", ["input_schema", "output_schema"])
def test_a_type_without_a_schema_is_told_as_the_chains_fault(part):
    plan = code(takes_a_function)

    with pytest.raises(InvalidSpec, match="no JSON Schema"):
        getattr(plan, part)


def test_what_has_no_schema_is_still_refused_as_input():
    assert places(takes_a_function, 3) == [[]]
