"""Chat chains: which inputs can be made from a conversation and a new question, and how."""

from dataclasses import dataclass
from typing import Any

from chains.runtime.wire.schemas import (
    CHAT_WIDGET,
    followed,
    is_pairs,
    kind_of,
    message_roles,
    widget_of,
)


@dataclass(frozen=True, kw_only=True)
class ChatForm:
    """The properties of an input that hold a conversation.

    ``messages`` names the list of messages; None where the input itself is that list. ``question`` names the
    property of the person's new text; None where that is the last message of the list. ``pairs``: the list
    has pairs of texts instead of messages. ``output`` is the path to the answer in the chain's output.
    """

    messages: str | None
    question: str | None = None
    pairs: bool = False
    output: tuple[str, ...] = ()


def chat_form(schema: dict[str, Any]) -> ChatForm | None:
    """The chat form of an input's schema; None where a conversation is not enough for an input."""
    root = followed(schema, schema)
    properties = root.get("properties")
    if not (isinstance(properties, dict) and properties):
        if kind_of(root, schema) != "messages" or is_pairs(root):
            return None
        return ChatForm(messages=None, output=output_path(root)) if can_talk(root, schema) else None
    return object_form(root, {name: followed(value, schema) for name, value in properties.items()}, schema)


def object_form(
    root: dict[str, Any], fields: dict[str, dict[str, Any]], schema: dict[str, Any]
) -> ChatForm | None:
    kinds = {name: kind_of(field, schema) for name, field in fields.items()}
    lists = [name for name, kind in kinds.items() if kind == "messages"]
    if len(lists) != 1 or not can_talk(fields[lists[0]], schema):
        return None
    messages = lists[0]
    required = root.get("required")
    needed = {name for name in required if name in fields} if isinstance(required, list) else set()
    question = question_of(messages, fields[messages], kinds, needed)
    if needed - {messages, question}:
        return None
    pairs = is_pairs(fields[messages])
    if pairs and question is None:
        return None
    output = output_path(fields[messages])
    return ChatForm(messages=messages, question=question, pairs=pairs, output=output)


def question_of(
    messages: str, conversation: dict[str, Any], kinds: dict[str, str], needed: set[Any]
) -> str | None:
    """The field that the schema's author names, else the only required text field.

    Else the only text field, where the list of messages is optional.
    """
    texts = [name for name, kind in kinds.items() if kind == "text"]
    named = widget_of(conversation).get("input")
    if named in texts:
        return str(named)
    required = [name for name in texts if name in needed]
    if len(required) == 1:
        return required[0]
    return texts[0] if len(texts) == 1 and messages not in needed else None


def can_talk(conversation: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether the list accepts messages of both a person and the model."""
    return {"human", "ai"} <= set(message_roles(conversation, schema))


def output_path(conversation: dict[str, Any]) -> tuple[str, ...]:
    widget = widget_of(conversation)
    output = widget.get("output") if widget.get("type") == CHAT_WIDGET else None
    parts = output if isinstance(output, list) else [output]
    return tuple(part for part in parts if isinstance(part, str) and part)
