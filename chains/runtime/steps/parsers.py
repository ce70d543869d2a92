"""Parsers of a model's answer: text, the message itself, JSON, a list, or JSON validated by a schema."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessageChunk, message_chunk_to_message
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.output_parsers import CommaSeparatedListOutputParser
from pydantic import JsonValue, model_validator

from chains.runtime.data import Frozen
from chains.runtime.steps.answerschema import TooIntricate, check_schema, first_fault
from chains.runtime.steps.jsonanswer import parse_json
from concurrency.threads import aside

# Longer texts are parsed aside.
MAX_TEXT_IN_LOOP = 100_000
WORK_IN_LOOP = 20_000
MAX_WORK = 1_000_000


class Parser(Frozen):
    """How the model's answer is parsed; only the kind ``schema`` has a ``json_schema``."""

    kind: Literal["text", "message", "json", "list", "schema"] = "text"
    json_schema: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "Parser":
        if (self.kind == "schema") != (self.json_schema is not None):
            raise ValueError("A JSON Schema belongs to the parser 'schema', and only to it.")
        if self.json_schema is not None:
            check_schema(self.json_schema)
        return self


class TooMuchWork(OutputParserException):
    """The answer cannot be validated with the work that is allowed."""

    def __init__(self) -> None:
        super().__init__("The answer's JSON Schema refers to itself, or leads to too much work.")


async def parse(parser: Parser, text: str) -> Any:
    """``parsed``, in the event loop only as long as that takes about 20 ms."""
    if len(text) <= MAX_TEXT_IN_LOOP:
        with suppress(TooMuchWork):
            return parsed(parser, text, work=WORK_IN_LOOP)
    return await aside(parsed)(parser, text)


def parsed(parser: Parser, text: str, *, work: int = MAX_WORK) -> Any:
    """Parse the complete text of an answer; raises OutputParserException where it does not fit.

    ``work`` limits the validation by a JSON Schema, in about microseconds.
    """
    if parser.kind == "list":
        return CommaSeparatedListOutputParser().parse(text)
    if parser.kind == "json":
        return parse_json(text)
    if parser.kind == "schema":
        return _fitting(parser.json_schema or {}, parse_json(text), work)
    return text


def _fitting(schema: dict[str, Any], value: Any, work: int) -> Any:
    try:
        error = first_fault(schema, value, work=work)
    except TooIntricate:
        raise TooMuchWork from None
    if error is not None:
        raise OutputParserException(f"The answer breaks its JSON Schema at {error.json_path}.")
    return value


def joined(messages: Sequence[Any]) -> Any:
    """The message that pieces of one add up to; a message that is complete is the only one."""
    first, *others = messages
    # All at once: one by one, the text would be copied for each piece.
    return add_ai_message_chunks(first, *others) if isinstance(first, AIMessageChunk) else messages[-1]


def combine(parser: Parser, chunks: Sequence[Any]) -> Any:
    """Combine the pieces of a stream into the complete output."""
    if parser.kind == "text":
        return "".join(chunks)
    if parser.kind == "list":
        return [item for chunk in chunks for item in chunk]
    if parser.kind == "message":
        whole = joined(chunks)
        return message_chunk_to_message(whole) if isinstance(whole, AIMessageChunk) else whole
    return chunks[-1] if chunks else None


def output_schema(parser: Parser) -> dict[str, Any]:
    """JSON Schema of the parser's output."""
    if parser.kind == "schema":
        return dict(parser.json_schema or {})
    if parser.kind == "text":
        return {"title": "Answer", "type": "string"}
    if parser.kind == "list":
        return {"title": "Answer", "type": "array", "items": {"type": "string"}}
    if parser.kind == "message":
        return {
            "title": "AIMessage",
            "type": "object",
            "properties": {
                "type": {"type": "string", "const": "ai"},
                "content": {"type": ["string", "array"]},
            },
            "required": ["type", "content"],
        }
    return {"title": "Answer"}
