"""Chat messages that callers may send: an allow-list of types, and of the fields of each type.

A message's ``type`` selects one of the classes listed here. All other fields are dropped, also the
providers' own (``additional_kwargs``, ``response_metadata``).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from chains.runtime.errors import FieldError, InvalidInput
from chains.runtime.wire.fielderrors import MAX_FAULTS, field_errors

MAX_MESSAGES = 1000
MAX_BLOCKS = 100
# Endings of the keys in a content block whose value is an address that a server would have to fetch.
URL_KEYS = ("url", "uri")


def _content(value: Any) -> Any:
    """Validate content: text, or a list of blocks without an address that a server would have to fetch."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) > MAX_BLOCKS:
        raise ValueError(f"A message has at most {MAX_BLOCKS} blocks")
    if not isinstance(value, list) or not all(isinstance(block, str | dict) for block in value):
        raise PydanticCustomError("string_type", "The content is text or a list of blocks")
    if any(not url.startswith("data:") for url in _urls(value)):
        raise ValueError("Send files as data: URLs; no other address is fetched")
    return value


def _urls(node: Any, *, named: bool = False) -> Iterator[str]:
    """Yield every text under a key that ends as URL_KEYS say; ``named``: ``node`` is under such a key."""
    if isinstance(node, str):
        if named:
            yield node
    elif isinstance(node, list):
        for inner in node:
            yield from _urls(inner, named=named)
    elif isinstance(node, dict):
        for key, inner in node.items():
            yield from _urls(inner, named=key.lower().endswith(URL_KEYS))


Content = Annotated[str | list[str | dict[str, Any]], BeforeValidator(_content)]


class ToolCallFields(BaseModel):
    name: str
    args: dict[str, Any]
    id: str | None = None


class MessageFields(BaseModel):
    content: Content
    name: str | None = None
    id: str | None = None


class AIFields(MessageFields):
    tool_calls: list[ToolCallFields] = Field(default=[], max_length=MAX_BLOCKS)


class ToolFields(MessageFields):
    tool_call_id: str
    status: Literal["success", "error"] = "success"


# Maps a type to the fields that are read, and to the class of the decoded message.
TYPES: Mapping[str, tuple[type[MessageFields], type[BaseMessage]]] = {
    "human": (MessageFields, HumanMessage),
    "ai": (AIFields, AIMessage),
    "tool": (ToolFields, ToolMessage),
    "system": (MessageFields, SystemMessage),
}
# Callers may send messages back as the pieces that they received in a stream.
CHUNKS = {
    "HumanMessageChunk": "human",
    "AIMessageChunk": "ai",
    "ToolMessageChunk": "tool",
    "SystemMessageChunk": "system",
}


# Fields of a piece that LangChain parses in quadratic time; ``tool_calls`` has the same content.
DROPPED_OF_CHUNKS = ("tool_call_chunks", "additional_kwargs")


def without_pieces(value: Any) -> Any:
    """Drop DROPPED_OF_CHUNKS from the pieces in plain data, before LangChain decodes messages in it."""
    if isinstance(value, list):
        return [without_pieces(inner) for inner in value]
    if isinstance(value, dict):
        given = value.get("type")
        dropped = DROPPED_OF_CHUNKS if isinstance(given, str) and given in CHUNKS else ()
        return {key: without_pieces(inner) for key, inner in value.items() if key not in dropped}
    return value


def allowed_types(*, system: bool) -> list[str]:
    """The allowed types; ``system`` adds system messages, which can override a chain's instructions."""
    return [name for name in TYPES if system or name != "system"]


def messages_schema(*, system: bool) -> dict[str, Any]:
    """JSON Schema of a list of messages."""
    types = allowed_types(system=system)
    chunks = [chunk for chunk, name in CHUNKS.items() if name in types]
    return {
        "type": "array",
        "maxItems": MAX_MESSAGES,
        "items": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": [*types, *chunks]},
                "content": {"type": ["string", "array"], "items": {"type": ["string", "object"]}},
            },
            "required": ["type", "content"],
        },
    }


def decode_messages(items: Sequence[Any], *, system: bool) -> list[BaseMessage]:
    """Decode ``[{"type": ..., "content": ...}, ...]``, at most MAX_MESSAGES.

    Raises InvalidInput with the first MAX_FAULTS faults; each ``loc`` starts with the index in the list.
    """
    if len(items) > MAX_MESSAGES:
        raise InvalidInput.at([], "too_long", f"Send at most {MAX_MESSAGES} messages")
    decoded: list[BaseMessage] = []
    faults: list[FieldError] = []
    for index, item in enumerate(items):
        try:
            decoded.append(_decode(item, system=system, loc=[index]))
        except InvalidInput as error:
            faults += error.errors
            if len(faults) >= MAX_FAULTS:
                break
    if faults:
        raise InvalidInput(errors=faults[:MAX_FAULTS])
    return decoded


def _decode(item: Any, *, system: bool, loc: list[str | int]) -> BaseMessage:
    if not isinstance(item, dict):
        raise InvalidInput.at(loc, "object_type", "A message is an object with type and content")
    if "type" not in item:
        raise InvalidInput.at([*loc, "type"], "missing", "Field required")
    types = allowed_types(system=system)
    given = item.get("type")
    name = CHUNKS.get(given, given) if isinstance(given, str) else None
    if name not in types:
        raise InvalidInput.at([*loc, "type"], "enum", f"Input should be one of: {', '.join(types)}")
    read_as, becomes = TYPES[name]
    try:
        fields = read_as.model_validate(item)
    except ValidationError as error:
        raise InvalidInput(errors=field_errors(error, loc)) from error
    return becomes(**{name: value for name, value in fields.model_dump().items() if value is not None})


def cleaned(value: Any, *, system: bool, loc: Sequence[str | int] = ()) -> Any:
    """Decode every message in ``value`` again, by the rules of ``decode_messages``; raises InvalidInput.

    For values that LangChain has decoded: it accepts more types and keeps every field.
    """
    if isinstance(value, BaseMessage):
        return _decode(value.model_dump(), system=system, loc=list(loc))
    if isinstance(value, ChatPromptValue):
        messages = cleaned(list(value.messages), system=system, loc=[*loc, "messages"])
        return type(value)(messages=messages)
    if isinstance(value, list):
        return [cleaned(inner, system=system, loc=[*loc, i]) for i, inner in enumerate(value)]
    if isinstance(value, tuple):
        return tuple(cleaned(inner, system=system, loc=[*loc, i]) for i, inner in enumerate(value))
    if isinstance(value, dict):
        return {key: cleaned(inner, system=system, loc=[*loc, key]) for key, inner in value.items()}
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        clean = {name: cleaned(inner, system=system, loc=[*loc, name]) for name, inner in fields.items()}
        changed = {name: inner for name, inner in clean.items() if inner is not fields[name]}
        return value.model_copy(update=changed) if changed else value
    return value
