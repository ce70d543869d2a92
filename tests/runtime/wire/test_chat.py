"""Which chains one can talk to, and how."""

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from pydantic import BaseModel, Field, RootModel

from chains.runtime.wire.chat import ChatForm, chat_form
from chains.runtime.wire.messages import messages_schema

MESSAGES = messages_schema(system=False)
TEXT = {"type": "string"}


def schema_of(*required, **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


class Pairs(BaseModel):
    """LangServe's own example."""

    chat_history: list[tuple[str, str]] = Field(
        json_schema_extra={"widget": {"type": "chat", "input": "question", "output": "answer"}}
    )
    question: str


class Listed(RootModel[list[HumanMessage | AIMessage | SystemMessage]]):
    pass


def prompt_of(*messages):
    return ChatPromptTemplate.from_messages(messages).get_input_jsonschema()


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        (MESSAGES, ChatForm(messages=None)),
        (Listed.model_json_schema(), ChatForm(messages=None)),
        (FakeListChatModel(responses=[]).get_input_jsonschema(), ChatForm(messages=None)),
        (schema_of("chat", chat=MESSAGES), ChatForm(messages="chat")),
        (schema_of(chat=MESSAGES), ChatForm(messages="chat")),
        (schema_of("chat", chat=MESSAGES, tone=TEXT), ChatForm(messages="chat")),
        (prompt_of(MessagesPlaceholder("messages")), ChatForm(messages="messages")),
        (
            prompt_of(MessagesPlaceholder("history"), ("human", "{question}")),
            ChatForm(messages="history", question="question"),
        ),
        (
            schema_of("ask", chat=MESSAGES, ask=TEXT, heat={"type": "number"}),
            ChatForm(messages="chat", question="ask"),
        ),
        (
            Pairs.model_json_schema(),
            ChatForm(messages="chat_history", question="question", pairs=True, output=("answer",)),
        ),
    ],
)
def test_a_list_of_messages_or_a_history_and_a_question_make_a_conversation(schema, form):
    assert chat_form(schema) == form


@pytest.mark.parametrize(
    "schema",
    [
        {},
        TEXT,
        schema_of("topic", topic=TEXT),
        schema_of("a", a=MESSAGES, b=MESSAGES),
        schema_of("chat", "heat", chat=MESSAGES, heat={"type": "number"}),
        schema_of("chat", "ask", "tone", chat=MESSAGES, ask=TEXT, tone=TEXT),
        {"type": "array", "items": TEXT},
        RootModel[list[SystemMessage]].model_json_schema(),
    ],
)
def test_anything_else_that_is_needed_makes_it_no_conversation(schema):
    assert chat_form(schema) is None
