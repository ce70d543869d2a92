"""Parses JSON and ``name = value`` lines that a person types into a form, and writes such lines."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chains.runtime.wire.strict_json import InvalidJSON, strict_json


def parse_json(text: str) -> Any:
    """Parse JSON; raises ValueError for text that is not JSON and for values that ``strict_json`` refuses."""
    if not text.strip():
        raise ValueError("Write JSON here.")
    try:
        return strict_json(text.encode(errors="surrogatepass"))
    except InvalidJSON as error:
        raise ValueError(str(error)) from error


def parse_lines(text: str) -> dict[str, str]:
    """Parse lines of ``name = value``; values stay text. Raises ValueError, which names the line."""
    values: dict[str, str] = {}
    for number, line in numbered_lines(text):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise ValueError(f"Line {number} is not like: name = value.")
        if name in values:
            raise ValueError(f"Line {number} sets {name!r} again.")
        values[name] = value
    return values


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, stripped, with their numbers from 1."""
    # Not splitlines(): it also splits at other characters, which may occur inside JSON strings.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def parse_params(text: str) -> dict[str, Any]:
    """Parse lines of ``name = value``; a value is JSON, or else text. Raises ValueError, naming the line."""
    return {name: _json_or_text(value) for name, value in parse_lines(text).items()}


def _json_or_text(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def params_text(params: Mapping[str, Any]) -> str:
    """Write lines that ``parse_params`` reads back."""
    return "\n".join(f"{name} = {_value_text(value)}" for name, value in params.items())


def _value_text(value: Any) -> str:
    if isinstance(value, str) and is_plain(value) and isinstance(_json_or_text(value), str):
        return value
    return json.dumps(value, ensure_ascii=False)


def is_plain(text: str) -> bool:
    """Whether the text can be written in a line without quotation marks."""
    return text.splitlines() == [text] and text.strip() == text and not text.startswith('"')
