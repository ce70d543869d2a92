"""Validation errors in the format of pydantic, which LangServe's clients know."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, cast

import pydantic
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from chains.runtime.errors import ChainHubError, FieldError

MAX_FAULTS = 20


Loc = list[str | int]


def missing(loc: Loc) -> FieldError:
    return {"type": "missing", "loc": loc, "msg": "Field required"}


def wrong_type(kinds: Sequence[str], loc: Loc) -> FieldError:
    """``kinds`` are the types of JSON Schema that the value may have."""
    return {"type": f"{kinds[0]}_type", "loc": loc, "msg": f"Input should be of type {' or '.join(kinds)}"}


def no_choice(choices: Sequence[Any], loc: Loc) -> FieldError:
    return {"type": "enum", "loc": loc, "msg": f"Input should be one of: {', '.join(map(str, choices))}"}


def schema_faults(schema: Mapping[str, Any], value: Any) -> list[FieldError]:
    """The errors of ``value`` by a JSON Schema, at most MAX_FAULTS; empty where it is valid."""
    found = islice(Draft202012Validator(schema).iter_errors(value), MAX_FAULTS)
    return [_field_error(fault) for fault in sorted(found, key=lambda e: str(e.path))]


def _field_error(fault: ValidationError) -> FieldError:
    loc, wanted = list(fault.absolute_path), cast(Any, fault.validator_value)
    if fault.validator == "required":
        # jsonschema reports one error for each missing name, and only its message contains the name.
        named = [name for name in wanted if fault.message.startswith(repr(name))]
        return missing([*loc, *named[:1]])
    if fault.validator == "type":
        return wrong_type([wanted] if isinstance(wanted, str) else wanted, loc)
    if fault.validator == "enum":
        return no_choice(wanted, loc)
    if fault.validator in ("minimum", "maximum"):
        most = fault.validator == "maximum"
        kind, words = ("less_than_equal", "at most") if most else ("greater_than_equal", "at least")
        return {"type": kind, "loc": loc, "msg": f"Input should be {words} {wanted}"}
    return {"type": str(fault.validator), "loc": loc, "msg": "Input does not fit the schema"}


def field_errors(error: pydantic.ValidationError, loc: Sequence[str | int] = ()) -> list[FieldError]:
    """Pydantic's errors without the input value, which must not appear in a response or a log."""
    return [
        {
            "type": fault["type"],
            "loc": [*loc, *fault["loc"]],
            "msg": fault["msg"].removeprefix("Value error, "),
        }
        for fault in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_FAULTS]
    ]


def describe(error: pydantic.ValidationError | ChainHubError) -> str:
    """The error as text for the person who wrote the data."""
    if isinstance(error, ChainHubError):
        return str(error)
    parts = []
    for fault in error.errors():
        place = " → ".join(str(part) for part in fault["loc"])
        text = fault["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return " ".join(parts)
