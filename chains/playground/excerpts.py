"""Texts that show a run's input and output on a page."""

import json
import re
from collections.abc import Iterator
from typing import Any

EXCERPT_CHARACTERS = 140


def as_text(value: Any) -> str:
    """Return a text unchanged, of a message the text of its content, and anything else as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return message_text(value) or as_json(value)


def message_text(value: Any) -> str:
    """Return a message's text; "" for a value that is no message, and for a message that only calls tools."""
    if not (isinstance(value, dict) and "type" in value):
        return ""
    content = value.get("content")
    blocks = content if isinstance(content, list) else [content]
    parts = [block.get("text") if isinstance(block, dict) else block for block in blocks]
    return "".join(part for part in parts if isinstance(part, str))


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def excerpt(chain_input: Any) -> str:
    """Return one line by which people recognize an input: the longest of its texts that are new.

    At most EXCERPT_CHARACTERS characters.
    """
    found = list(texts(chain_input))
    # People cannot read base64, so the text of a file is used only if there is no other.
    text = max((t for t in found if not is_file(t)), key=len, default="") or max(found, key=len, default="")
    line = " ".join((text or json.dumps(chain_input, ensure_ascii=False)).split())
    if len(line) > EXCERPT_CHARACTERS:
        line = line[: EXCERPT_CHARACTERS - 1] + "…"
    return line


def without_files(value: Any) -> Any:
    """Return a copy of ``value`` with the beginning and the length in place of each file."""
    if isinstance(value, str) and is_file(value):
        return f"{value[:24]}… ({len(value):,} characters of base64)"
    if isinstance(value, dict):
        return {name: without_files(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_files(item) for item in value]
    return value


def is_file(text: str) -> bool:
    """Return whether the text is most likely a file in base64."""
    return len(text) > EXCERPT_CHARACTERS and bool(re.fullmatch(r"[A-Za-z0-9+/]+=*", text))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "type":
                yield from texts(item)
    elif isinstance(value, list):
        # Of a conversation, only the messages after the last answer.
        answered = max((index + 1 for index, item in enumerate(value) if is_answer(item)), default=0)
        for item in value[answered:]:
            yield from texts(item)


def is_answer(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "ai" and "content" in value
