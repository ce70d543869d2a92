"""Reads from a JSON Schema how to show one value in a form: its control, its label, its choices."""

import json
from collections.abc import Iterator
from typing import Any

# A longer chain of references is treated as a loop.
MAX_REFS = 8
UNIONS = ("anyOf", "oneOf", "allOf")
SIMPLE_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
# Roles of messages that a person can write as text; tool results and pieces of streams are for programs.
ROLES = ("human", "ai", "system")
FILE_WIDGET, CHAT_WIDGET = "base64file", "chat"


def followed(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The schema with local references resolved and "or null" dropped; {} where it is not an object."""
    for _ in range(MAX_REFS):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: Any = root
            for part in reference[2:].split("/"):
                target = target.get(part) if isinstance(target, dict) else None
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**target, **rest} if isinstance(target, dict) else rest
            continue
        options = union_of(schema)
        if not isinstance(options, list):
            return schema
        real = [option for option in options if option != {"type": "null"}]
        if len(real) != 1 or not isinstance(real[0], dict):
            return schema
        rest = {key: value for key, value in schema.items() if key not in UNIONS}
        schema = {**real[0], **rest}
    return {}


def union_of(schema: dict[str, Any]) -> Any:
    return next((schema[keyword] for keyword in UNIONS if schema.get(keyword)), None)


def alternatives(schema: Any, root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema itself, or each option of its union; ``followed`` is applied to each."""
    one = followed(schema, root)
    options = union_of(one)
    if isinstance(options, list):
        yield from (followed(option, root) for option in options)
    else:
        yield one


def kind_of(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """The kind of control: text, integer, number, boolean, choice, messages, file or json."""
    widget = widget_of(schema).get("type")
    if widget == CHAT_WIDGET or message_roles(schema, root):
        return "messages"
    kinds = schema.get("type")
    if widget == FILE_WIDGET and kinds in (None, "string"):
        return "file"
    if choices_of(schema):
        return "choice"
    if isinstance(kinds, list):
        real = [kind for kind in kinds if kind != "null"]
        kinds = real[0] if len(real) == 1 else None
    return SIMPLE_KINDS.get(kinds, "json") if isinstance(kinds, str) else "json"


def widget_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The control that the chain's author asks for, as LangServe's playground reads it."""
    extra = schema.get("extra")
    for holder in (schema, extra if isinstance(extra, dict) else {}):
        widget = holder.get("widget")
        if isinstance(widget, dict):
            return widget
    return {}


def choices_of(schema: dict[str, Any]) -> list[Any]:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list):
        return [value for value in values if value is not None]
    return []


def choice_key(value: Any) -> str:
    """The text that identifies a choice in the page: a string itself, or the JSON of any other value."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def label_of(name: str, written: Any, schema: dict[str, Any]) -> str:
    """The title that the author has written, else the property's name in words.

    The title of a referenced schema is a class name, so it is used only for a list of choices.
    """
    title = written.get("title") if isinstance(written, dict) else None
    if title is None and choices_of(schema):
        title = schema.get("title")
    if isinstance(title, str) and title and title != name:
        return title
    return name.replace("_", " ").capitalize()


def message_roles(schema: dict[str, Any], root: dict[str, Any]) -> list[str]:
    """The roles that a list of chat messages accepts; empty where the schema is something else.

    A chat model's input is a text, a prompt value or a list of messages. Only the list is read, because any
    input can be sent as one.
    """
    items = [option.get("items") for option in alternatives(schema, root) if option.get("type") == "array"]
    found = {role for item in items for option in alternatives(item, root) for role in roles_of(option)}
    if not found and widget_of(schema).get("type") == CHAT_WIDGET:
        found = {"human", "ai"}
    return [role for role in ROLES if role in found]


def roles_of(message: dict[str, Any]) -> list[str]:
    properties = message.get("properties")
    if not isinstance(properties, dict):
        return []
    role, content = properties.get("type"), properties.get("content")
    if not (isinstance(role, dict) and isinstance(content, dict)):
        return []
    if role.get("type") == "string" and not {"enum", "const"} & role.keys():
        return list(ROLES)
    return [value for value in choices_of(role) if isinstance(value, str)]


def is_pairs(schema: dict[str, Any]) -> bool:
    """Whether the conversation is a list of pairs, as in LangServe's examples: a question and its answer."""
    items = schema.get("items")
    if widget_of(schema).get("type") != CHAT_WIDGET or not isinstance(items, dict):
        return False
    return items.get("type") == "array" and items.get("minItems") == items.get("maxItems") == 2
