"""Checks the input of a configured chain: an object whose values are plain, or lists of messages.

A JSON Schema validator takes some 10 µs for each value and keyword, and visits every value of a list.
"""

from collections.abc import Mapping
from typing import Any

from chains.runtime.errors import FieldError, InvalidInput
from chains.runtime.wire.fielderrors import Loc, missing, no_choice, wrong_type

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
        raise InvalidInput(errors=[wrong_type(["object"], [])])
    faults = [missing([name]) for name in schema.get("required", ()) if name not in value]
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


def _fault(asked: Mapping[str, Any], value: Any, loc: Loc) -> FieldError | None:
    if not _is(asked["type"], value):
        return wrong_type([asked["type"]], loc)
    if "enum" in asked and value not in asked["enum"]:
        return no_choice(asked["enum"], loc)
    return None


def _is(kind: str, value: Any) -> bool:
    """Whether a value is of a type of JSON Schema, where true is no number and 1.0 is an integer."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[kind])
