"""What is wrong with a value, in the words of pydantic's errors, which LangServe's clients know."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pydantic
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from chains.runtime.errors import ChainHubError, FieldError

MAX_FAULTS = 20


def schema_faults(schema: Mapping[str, Any] | Draft202012Validator, value: Any) -> list[FieldError]:
    """Where ``value`` breaks a JSON Schema; empty where it does not."""
    validator = schema if isinstance(schema, Draft202012Validator) else Draft202012Validator(schema)
    faults = sorted(validator.iter_errors(value), key=lambda e: str(e.path))
    return [_field_error(fault) for fault in faults[:MAX_FAULTS]]


def _field_error(fault: ValidationError) -> FieldError:
    loc, wanted = list(fault.absolute_path), cast(Any, fault.validator_value)
    if fault.validator == "required":
        # One fault for each missing name, of which only the message tells which it is.
        named = [name for name in wanted if fault.message.startswith(repr(name))]
        return {"type": "missing", "loc": [*loc, *named[:1]], "msg": "Field required"}
    if fault.validator == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return {
            "type": f"{kinds[0]}_type",
            "loc": loc,
            "msg": f"Input should be of type {' or '.join(kinds)}",
        }
    if fault.validator == "enum":
        allowed = ", ".join(str(choice) for choice in wanted)
        return {"type": "enum", "loc": loc, "msg": f"Input should be one of: {allowed}"}
    if fault.validator in ("minimum", "maximum"):
        most = fault.validator == "maximum"
        kind, words = ("less_than_equal", "at most") if most else ("greater_than_equal", "at least")
        return {"type": kind, "loc": loc, "msg": f"Input should be {words} {wanted}"}
    return {"type": str(fault.validator), "loc": loc, "msg": "Input does not fit the schema"}


def field_errors(error: pydantic.ValidationError, loc: Sequence[str | int] = ()) -> list[FieldError]:
    """Pydantic's faults without the input, which belongs in no answer and no log."""
    return [
        {
            "type": fault["type"],
            "loc": [*loc, *fault["loc"]],
            "msg": fault["msg"].removeprefix("Value error, "),
        }
        for fault in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_FAULTS]
    ]


def describe(error: pydantic.ValidationError | ChainHubError) -> str:
    """A pydantic error in words for the person who wrote the data."""
    if isinstance(error, ChainHubError):
        return str(error)
    parts = []
    for fault in error.errors():
        place = " → ".join(str(part) for part in fault["loc"])
        text = fault["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return " ".join(parts)
