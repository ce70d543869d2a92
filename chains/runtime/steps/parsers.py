"""What becomes of a model's answer: text, the message itself, JSON, a list, or schema-checked JSON."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessageChunk, message_chunk_to_message
from langchain_core.output_parsers import (
    BaseOutputParser,
    CommaSeparatedListOutputParser,
    StrOutputParser,
)
from langchain_core.runnables import Runnable, RunnablePassthrough

from chains.runtime.steps.answerschema import TooIntricate, first_fault
from chains.runtime.steps.llm import Parser
from chains.runtime.wire.strict_json import InvalidJSON, check_depth

FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n", re.IGNORECASE)
# A hundred levels are more than any answer needs, and fewer than encoding it again can bear.
MAX_DEPTH = 100


class ListParser(BaseOutputParser[list[str]]):
    """Comma-separated values, read as a whole: LangChain's reading of pieces loses quotes between them."""

    def parse(self, text: str) -> list[str]:
        return CommaSeparatedListOutputParser().parse(text)

    @property
    def _type(self) -> str:
        return "list"


class JSONParser(BaseOutputParser[Any]):
    """The whole answer as one JSON value, in a Markdown fence or bare.

    Stricter than LangChain's: an answer that is cut in the middle is refused, not completed.
    """

    def parse(self, text: str) -> Any:
        try:
            check_depth(text.encode(errors="replace"), MAX_DEPTH)
            return json.loads(_without_fence(text), parse_constant=_refuse_constant, parse_float=_finite)
        except (ValueError, InvalidJSON) as error:
            raise OutputParserException("The answer is not JSON.") from error

    @property
    def _type(self) -> str:
        return "json"


class SchemaParser(JSONParser):
    """JSON that also has to satisfy a JSON Schema."""

    json_schema: dict[str, Any]

    def parse(self, text: str) -> Any:
        value = super().parse(text)
        try:
            error = first_fault(self.json_schema, value)
        except TooIntricate:
            why = "The answer's JSON Schema refers to itself, or leads to too much work."
            raise OutputParserException(why) from None
        if error is not None:
            raise OutputParserException(f"The answer breaks its JSON Schema at {error.json_path}.")
        return value


def _without_fence(text: str) -> str:
    text = text.strip()
    fence = FENCE.match(text)
    return text[fence.end() : -3] if fence and text.endswith("```") else text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("A number is too large.")
    return number


def build_parser(parser: Parser) -> Runnable[Any, Any]:
    if parser.kind == "text":
        return StrOutputParser()
    if parser.kind == "list":
        return ListParser()
    if parser.kind == "json":
        return JSONParser()
    if parser.kind == "schema":
        return SchemaParser(json_schema=parser.json_schema or {})
    return RunnablePassthrough()


def combine(parser: Parser, chunks: Sequence[Any]) -> Any:
    """The output that a stream's chunks add up to."""
    if parser.kind == "text":
        return "".join(chunks)
    if parser.kind == "list":
        return [item for chunk in chunks for item in chunk]
    if parser.kind == "message":
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        return message_chunk_to_message(whole) if isinstance(whole, AIMessageChunk) else whole
    return chunks[-1] if chunks else None


def output_schema(parser: Parser) -> dict[str, Any]:
    """JSON Schema of the chain's output."""
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
