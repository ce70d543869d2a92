"""Checks the input of a configured chain: an object whose values are plain, or lists of messages.

A JSON Schema validator takes some 10 µs for each value and keyword, and visits every value of a list.
"""

from collections.abc import Mapping
from typing import Any

from chains.runtime.errors import FieldError, InvalidInput

KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def read_input(schema: Mapping[str, Any], value: Any) -> tuple[dict[str, Any], list[FieldError]]:
    """The valid properties in ``value``, with defaults for absent ones, and the faults of the others.

    ``schema`` is the JSON Schema of an object; of its properties ``type``, ``enum`` and ``default`` are read.
    What is in a list is not checked. Raises InvalidInput for a value that is no object.
    """
    if not isinstance(value, dict):
        raise InvalidInput(errors=[_wrong_type("object", [])])
    faults: list[FieldError] = [
        {"type": "missing", "loc": [name], "msg": "Field required"}
        for name in schema.get("required", ())
        if name not in value
    ]
    data: dict[str, Any] = {}
    for name, asked in schema["properties"].items():
        if name in value:
            if fault := _fault(asked, value[name], [name]):
                faults.append(fault)
            else:
                data[name] = value[name]
        elif "default" in asked:
            data[name] = asked["default"]
    return data, faults


def _fault(asked: Mapping[str, Any], value: Any, loc: list[str | int]) -> FieldError | None:
    if not _is(asked["type"], value):
        return _wrong_type(asked["type"], loc)
    if "enum" in asked and value not in asked["enum"]:
        allowed = ", ".join(map(str, asked["enum"]))
        return {"type": "enum", "loc": loc, "msg": f"Input should be one of: {allowed}"}
    return None


def _is(kind: str, value: Any) -> bool:
    """Whether a value is of a type of JSON Schema, where true is no number and 1.0 is an integer."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[kind])


def _wrong_type(kind: str, loc: list[str | int]) -> FieldError:
    return {"type": f"{kind}_type", "loc": loc, "msg": f"Input should be of type {kind}"}
