"""JSON and ``name = value`` lines as a person types them into a form."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chains.runtime.wire.strict_json import InvalidJSON, strict_json


def parse_json(text: str) -> Any:
    """The value; raises ValueError for what is not JSON and for what ChainHub does not keep."""
    if not text.strip():
        raise ValueError("Write JSON here.")
    try:
        return strict_json(text.encode(errors="surrogatepass"))
    except InvalidJSON as error:
        raise ValueError(str(error)) from error


def parse_lines(text: str) -> dict[str, str]:
    """Lines of ``name = value``, values as they are typed; raises ValueError naming the line."""
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
    """The lines that are not blank, without space around them."""
    # JSON may hold the other characters that Python splits lines at.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def parse_params(text: str) -> dict[str, Any]:
    """Lines of ``name = value``, a value being JSON or else text; raises ValueError naming the line."""
    return {name: _json_or_text(value) for name, value in parse_lines(text).items()}


def _json_or_text(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def params_text(params: Mapping[str, Any]) -> str:
    """The lines that ``parse_params`` reads back."""
    return "\n".join(f"{name} = {_value_text(value)}" for name, value in params.items())


def _value_text(value: Any) -> str:
    if isinstance(value, str) and is_plain(value) and isinstance(_json_or_text(value), str):
        return value
    return json.dumps(value, ensure_ascii=False)


def is_plain(text: str) -> bool:
    """Whether it can stand in a line as it is, rather than between quotation marks."""
    return text.splitlines() == [text] and text.strip() == text and not text.startswith('"')
