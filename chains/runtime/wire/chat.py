"""Chains that one can talk to: how a conversation and a new question become an input."""

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
    """Names of properties: ``messages`` is None where the input itself is the list of messages.

    ``question`` takes what the person says now; without it that is the list's last message. ``pairs``:
    the list has pairs of texts. ``output`` leads to the answer within the chain's output.
    """

    messages: str | None
    question: str | None = None
    pairs: bool = False
    output: tuple[str, ...] = ()


def chat_form(schema: dict[str, Any]) -> ChatForm | None:
    """None where a conversation is not enough for an input."""
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
    """The field that its author names, else the only text that has to be given, or can be."""
    texts = [name for name, kind in kinds.items() if kind == "text"]
    named = widget_of(conversation).get("input")
    if named in texts:
        return str(named)
    required = [name for name in texts if name in needed]
    if len(required) == 1:
        return required[0]
    return texts[0] if len(texts) == 1 and messages not in needed else None


def can_talk(conversation: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether a person and the chain may both speak."""
    return {"human", "ai"} <= set(message_roles(conversation, schema))


def output_path(conversation: dict[str, Any]) -> tuple[str, ...]:
    widget = widget_of(conversation)
    output = widget.get("output") if widget.get("type") == CHAT_WIDGET else None
    parts = output if isinstance(output, list) else [output]
    return tuple(part for part in parts if isinstance(part, str) and part)
