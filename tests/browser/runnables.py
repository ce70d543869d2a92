"""Chains in code that the browser's server has: files, pairs, a chat model, a choice."""

from typing import Any

from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import BaseModel, Field

from chains.runtime.registry import register


class Upload(BaseModel):
    """A file and what to look for in it."""

    file: str = Field(json_schema_extra={"extra": {"widget": {"type": "base64file"}}})
    note: str = "nothing"


class History(BaseModel):
    """The conversation as LangServe's own example has it."""

    chat_history: list[tuple[str, str]] = Field(
        json_schema_extra={"widget": {"type": "chat", "input": "question", "output": "answer"}}
    )
    question: str


def length_of(upload: dict[str, Any]) -> str:
    return f"{len(upload['file'])} characters, {upload['note']}"


def recalled(history: dict[str, Any]) -> dict[str, str]:
    if history["question"] == "fail":
        raise ValueError("As it was asked to.")
    return {"answer": f"{len(history['chat_history'])} turns before {history['question']}"}


model = FakeListChatModel(responses=["I am a model."]).configurable_fields(
    responses=ConfigurableField(id="responses", name="Responses")
)

register("upload", RunnableLambda(length_of).with_types(input_type=Upload))
register("pairs", RunnableLambda(recalled).with_types(input_type=History))
register("model", model)
