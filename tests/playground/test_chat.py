"""Which chains one can talk to, and how."""

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from pydantic import BaseModel, Field, RootModel

from chains.playground.chat import ChatForm, chat_form
from chains.runtime.messages import messages_schema
from tests.playground.conftest import publish_chain

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


@pytest.fixture
def talk(db):
    return publish_chain("talk", messages=[{"placeholder": "chat"}])


def test_the_playground_and_the_chat_lead_to_one_another(signed_in, talk):
    playground = signed_in.get("/chains/talk/playground/").content.decode()
    chat = signed_in.get("/chains/talk/playground/chat/").content.decode()
    assert 'href="/chains/talk/playground/chat/"' in playground
    assert 'href="/chains/talk/playground/"' in chat


def test_other_chains_have_no_chat(signed_in, fitness):
    assert "playground/chat/" not in signed_in.get("/chains/fitness/playground/").content.decode()
    assert signed_in.get("/chains/fitness/playground/chat/").status_code == 404
    assert signed_in.get("/chains/none/playground/chat/").status_code == 404


def test_a_chain_without_playground_has_no_chat_either(signed_in, talk):
    talk.disabled_endpoints = ["playground"]
    talk.save()
    assert signed_in.get("/chains/talk/playground/chat/").status_code == 404


def test_signed_out_the_chat_leads_to_sign_in(client, talk):
    assert client.get("/chains/talk/playground/chat/").status_code == 302
