"""JSON and ``name = value`` lines as a person types them into a form."""

import json
from collections.abc import Mapping
from typing import Any

from chains.runtime.strict_json import InvalidJSON, strict_json


def parse_json(text: str) -> Any:
    """The value; raises ValueError for what is not JSON and for what ChainHub does not keep."""
    if not text.strip():
        raise ValueError("Write JSON here.")
    try:
        return strict_json(text.encode(errors="surrogatepass"))
    except InvalidJSON as error:
        raise ValueError(str(error)) from error


def parse_params(text: str) -> dict[str, Any]:
    """Lines of ``name = value``, a value being JSON or else text; raises ValueError naming the line."""
    params: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise ValueError(f"Line {number} is not like: name = value.")
        if name in params:
            raise ValueError(f"Line {number} sets {name!r} again.")
        params[name] = _json_or_text(value)
    return params


def _json_or_text(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def params_text(params: Mapping[str, Any]) -> str:
    """The lines that ``parse_params`` reads back."""
    return "\n".join(f"{name} = {_value_text(value)}" for name, value in params.items())


def _value_text(value: Any) -> str:
    plain = isinstance(value, str) and value.splitlines() == [value] and value.strip() == value
    if plain and isinstance(_json_or_text(value), str) and not value.startswith('"'):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
