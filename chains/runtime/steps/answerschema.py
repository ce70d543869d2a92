"""JSON Schemas of answers: which schemas are allowed, and whether an answer is valid.

Editors write the schemas, and models write the answers. So a schema may not fetch a document, and validation
pays for its work from a budget.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

FORBIDDEN = ("pattern", "patternProperties", "uniqueItems")
# Keywords that name or reference a sub-schema by something else than its JSON pointer.
UNSUPPORTED = ("$dynamicRef", "$dynamicAnchor", "$anchor", "$recursiveRef", "$recursiveAnchor")
# Of names, values and texts of 100 characters; the schema itself is validated by the schema of schemas.
MAX_SCHEMA_SIZE = 10_000
# Keywords whose value maps free names to schemas, and keywords whose value holds no schema.
BY_NAME = ("properties", "$defs", "definitions", "dependentSchemas")
VALUES = ("enum", "const", "default", "examples")


class TooIntricate(Exception):
    """Validation takes more work than it may, or follows a circle of references."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises ValueError unless ``schema`` is a JSON Schema (draft 2020-12) that is allowed for answers."""
    try:
        if _Budget(0).size(schema) > MAX_SCHEMA_SIZE:
            raise ValueError(f"The JSON Schema has more than {MAX_SCHEMA_SIZE} values.")
        places = dict(_places(schema))
        for place, node in places.items():
            _check_node(node, places, is_root=place == "#")
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"Not a JSON Schema: {error.message[:300]}") from error
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

# About the microseconds that a keyword takes for one value, with the descent to that value.
KEYWORD_WORK = 15
# How deep keywords may lead to others; each takes three frames of Python's stack.
MAX_NESTING = 200
# Keywords that compare a value with all that stands in the schema, or look for what no other keyword covers.
THOROUGH = ("const", "dependentRequired", "enum", "unevaluatedItems", "unevaluatedProperties")


@dataclass
class _Budget:
    """The work that is left, in about microseconds."""

    left: int
    nesting: int = 0
    _sizes: dict[int, int] = field(default_factory=dict)

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooIntricate

    def size(self, value: Any) -> int:
        """How many values are in ``value``; texts count by their length. The values live as long as this."""
        if isinstance(value, str):
            return 1 + len(value) // 100
        if not isinstance(value, list | dict):
            return 1
        if id(value) not in self._sizes:
            items: Iterable[Any] = value if isinstance(value, list) else (*value, *value.values())
            self._sizes[id(value)] = 1 + sum(map(self.size, items))
        return self._sizes[id(value)]


_budget: ContextVar[_Budget] = ContextVar("budget")


def _counted(name: str, check: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    """The keyword's check, which pays for its work: for each value, and for the text of each error."""

    def checked(validator: Any, asked: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        budget = _budget.get()
        here = len(value) if isinstance(value, list | dict) else 1
        if name in THOROUGH:
            # What the answer may not have is looked up in all of the schema that stands at this place.
            budget.spend(KEYWORD_WORK + budget.size(schema) + here)
        else:
            budget.spend(KEYWORD_WORK + here + (len(asked) if isinstance(asked, list | dict) else 1))
        if budget.nesting >= MAX_NESTING:
            raise TooIntricate
        budget.nesting += 1
        try:
            for error in check(validator, asked, value, schema) or ():
                budget.spend(budget.size(value))
                yield error
        finally:
            budget.nesting -= 1

    return checked


_Validator: Any = extend(
    Draft202012Validator,
    {name: _counted(name, check) for name, check in Draft202012Validator.VALIDATORS.items()},
)


def first_fault(schema: Mapping[str, Any], answer: Any, *, work: int) -> ValidationError | None:
    """The first error of ``answer``, ``None`` where it is valid.

    Raises TooIntricate once it has taken about ``work`` microseconds, and for a circle of references.
    """
    # The keyword "$schema" would select another validator.
    schema = {key: value for key, value in schema.items() if key != "$schema"}
    _budget.set(_Budget(work))
    try:
        # With an empty registry, no reference is looked up outside the schema.
        return next(_Validator(schema, registry=Registry()).iter_errors(answer), None)
    except RecursionError:
        raise TooIntricate from None
