"""JSON Schemas of answers: which of them are allowed, and what an answer breaks.

They are written by editors and judged in the event loop, against what a model says. So nothing in them
may fetch a document, or take a time that grows faster than the schema and the answer together.
"""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

FORBIDDEN = ("pattern", "patternProperties", "uniqueItems")
# Other names for a place than its pointer.
UNSUPPORTED = ("$dynamicRef", "$dynamicAnchor", "$anchor", "$recursiveRef", "$recursiveAnchor")
# Keywords whose value holds schemas by names of the author's choice, and those that hold mere values.
BY_NAME = ("properties", "$defs", "definitions", "dependentSchemas")
VALUES = ("enum", "const", "default", "examples")
# A reference may lead to two others, and each of those again: only these can multiply the work.
MAX_REFERENCES = 20_000


class TooIntricate(Exception):
    """A schema whose references lead to more work than any answer is worth."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises ValueError for what is no JSON Schema (draft 2020-12), or not one for an answer."""
    try:
        places = dict(_places(schema))
        for place, node in places.items():
            _check_node(node, places, is_root=place == "#")
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"Not a JSON Schema: {error.message}") from error
    except (RecursionError, OverflowError) as error:
        raise ValueError("Not a JSON Schema: it is nested too deeply, or a number is too large.") from error
    if schema.get("type") != "object":
        raise ValueError("The JSON Schema of an answer describes an object.")


def _check_node(node: Mapping[str, Any], places: Mapping[str, Any], *, is_root: bool) -> None:
    for key in FORBIDDEN:
        if key in node:
            raise ValueError(f"The JSON Schema uses {key!r}, which may take forever.")
    for key in UNSUPPORTED if is_root else (*UNSUPPORTED, "$id", "$schema"):
        if key in node:
            raise ValueError(f"The JSON Schema uses {key!r}, which is not supported here.")
    target = node.get("$ref", "#")
    if not isinstance(target, str) or not target.startswith("#"):
        raise ValueError("The JSON Schema refers to another document.")
    if target not in places:
        raise ValueError(f"The JSON Schema refers to {target}, and there is no schema at that place.")


def _places(node: Any, pointer: str = "#") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every sub-schema by its JSON pointer; not the values in it, nor properties that are merely called
    like keywords.
    """
    if isinstance(node, list):
        for index, inner in enumerate(node):
            yield from _places(inner, f"{pointer}/{index}")
    elif isinstance(node, dict):
        yield pointer, node
        for key, inner in node.items():
            if key in BY_NAME and isinstance(inner, dict):
                for name, named in inner.items():
                    yield from _places(named, f"{pointer}/{key}/{_escaped(name)}")
            elif key not in VALUES:
                yield from _places(inner, f"{pointer}/{_escaped(key)}")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# --- Judging -----------------------------------------------------------------------------------

_references_left: ContextVar[list[int]] = ContextVar("references_left")


def _follow(validator: Any, ref: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    left = _references_left.get()
    left[0] -= 1
    if left[0] < 0:
        raise TooIntricate
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, ref, instance, schema) or ()


_Validator: Any = extend(Draft202012Validator, {"$ref": _follow})


def first_fault(schema: Mapping[str, Any], answer: Any) -> ValidationError | None:
    """Where ``answer`` breaks ``schema``; raises TooIntricate, also where references go round in a circle."""
    # With its "$schema" a schema would choose a validator of its own.
    schema = {key: value for key, value in schema.items() if key != "$schema"}
    _references_left.set([MAX_REFERENCES])
    try:
        # An empty registry: what is not in the schema is not looked for elsewhere.
        return next(_Validator(schema, registry=Registry()).iter_errors(answer), None)
    except RecursionError:
        raise TooIntricate from None
