"""JSON Schemas of answers: which schemas are allowed, and whether an answer is valid.

Editors write the schemas, and a model's answers are validated in the event loop. So a schema may not fetch
a document, and the validation time may not grow faster than the schema and the answer together.
"""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

FORBIDDEN = ("pattern", "patternProperties", "uniqueItems")
# Keywords that name or reference a sub-schema by something else than its JSON pointer.
UNSUPPORTED = ("$dynamicRef", "$dynamicAnchor", "$anchor", "$recursiveRef", "$recursiveAnchor")
# Keywords whose value maps free names to schemas, and keywords whose value holds no schema.
BY_NAME = ("properties", "$defs", "definitions", "dependentSchemas")
VALUES = ("enum", "const", "default", "examples")
# Only references can multiply the work: one may lead to two others, and each of these to two more.
MAX_REFERENCES = 20_000


class TooIntricate(Exception):
    """Validation followed more than MAX_REFERENCES references, or a circle of references."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises ValueError unless ``schema`` is a JSON Schema (draft 2020-12) that is allowed for answers."""
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
    """Yield every sub-schema with its JSON pointer.

    Plain values are left out, and a property that has the name of a keyword is not taken for one.
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


# --- Validation --------------------------------------------------------------------------------

_references_left: ContextVar[list[int]] = ContextVar("references_left")


def _follow(validator: Any, ref: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    left = _references_left.get()
    left[0] -= 1
    if left[0] < 0:
        raise TooIntricate
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, ref, instance, schema) or ()


_Validator: Any = extend(Draft202012Validator, {"$ref": _follow})


def first_fault(schema: Mapping[str, Any], answer: Any) -> ValidationError | None:
    """The first error of ``answer``, ``None`` where it is valid; raises TooIntricate."""
    # The keyword "$schema" would select another validator.
    schema = {key: value for key, value in schema.items() if key != "$schema"}
    _references_left.set([MAX_REFERENCES])
    try:
        # With an empty registry, no reference is looked up outside the schema.
        return next(_Validator(schema, registry=Registry()).iter_errors(answer), None)
    except RecursionError:
        raise TooIntricate from None
