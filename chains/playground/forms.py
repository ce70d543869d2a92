"""The form of a chain's input: Django fields made from its JSON Schema."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict

from chains.runtime.errors import FieldError
from chains.runtime.values import encode

# Longer reference chains than this are loops.
MAX_REFS = 8
NUMERIC_LIMITS = {"minimum": "min_value", "maximum": "max_value"}


@dataclass(frozen=True, kw_only=True)
class InputField:
    """One row of the page's form: the Django field, and what the page's script must know of it."""

    bound: forms.BoundField
    name: str
    kind: str  # text, integer, number, boolean, choice, json or messages
    required: bool
    element_id: str
    roles: list[str] = field(default_factory=list)

    @property
    def shows_name(self) -> bool:
        """Whether the name that programs use differs from the label."""
        label = str(self.bound.label)
        return label.casefold().replace(" ", "_") != self.name.casefold()


class JSONInput(forms.JSONField):
    """JSON as text; what Python cannot parse or a database cannot keep is an error like any other."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> Any:
        try:
            parsed = super().to_python(value)
            is_storable = encode(parsed) == parsed
        except (RecursionError, ValueError):
            is_storable = False
        if not is_storable:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return parsed

    def prepare_value(self, value: Any) -> Any:
        """Text stays as it is: `initial()` has written the JSON, or a reader has typed it."""
        return value


class InputForm(forms.Form):
    """A chain's input; `value` fills it, `chain_input()` gives back the JSON value it stands for.

    A schema that is not an object with properties becomes one field that is the whole input.
    """

    use_required_attribute = False

    def __init__(
        self,
        schema: dict[str, Any],
        *,
        value: Any = None,
        data: MultiValueDict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, auto_id=False)
        root = followed(schema, schema)
        properties = root.get("properties")
        self._whole = not (isinstance(properties, dict) and properties)
        self._kinds: dict[str, str] = {}
        self._required: set[str] = set()
        self._schemas: dict[str, dict[str, Any]] = {}
        if self._whole:
            if root.get("type") == "object":
                root = {"default": {}, **root}
            given = {} if value is None else {"input": value}
            self._add("input", {"title": "Input", **root}, required=True, given=given)
            return
        required = root.get("required")
        names = required if isinstance(required, list) else []
        given = value if isinstance(value, dict) else {}
        assert isinstance(properties, dict)
        for name, property_schema in properties.items():
            self._add(name, followed(property_schema, schema), required=name in names, given=given)

    def _add(self, name: str, schema: dict[str, Any], *, required: bool, given: dict[str, Any]) -> None:
        kind = kind_of(schema)
        django_field = built(kind, schema, name=name, required=required)
        django_field.initial = initial(kind, schema, given.get(name, schema.get("default")))
        element_id = f"field-{len(self._kinds)}"
        django_field.widget.attrs |= {
            "id": element_id,
            "aria-describedby": f"{element_id}-help {element_id}-error",
        }
        if kind == "text" and not required and isinstance(schema.get("default"), str):
            # Left empty, the field is left out and the default applies: so it stays in sight.
            django_field.widget.attrs["placeholder"] = schema["default"]
        if required:
            self._required.add(name)
        if django_field.required:
            django_field.widget.attrs["aria-required"] = "true"
        self.fields[name] = django_field
        self._kinds[name] = kind
        self._schemas[name] = schema

    def is_whole(self) -> bool:
        """Whether the one field is the input itself, not a property of it."""
        return self._whole

    def input_fields(self) -> Iterator[InputField]:
        for name, kind in self._kinds.items():
            yield InputField(
                bound=self[name],
                name=name,
                kind=kind,
                required=name in self._required and kind != "boolean",
                element_id=self.fields[name].widget.attrs["id"],
                roles=message_roles(self._schemas[name]),
            )

    def add_faults(self, faults: Sequence[FieldError]) -> None:
        """Show what the chain says of its input at the fields it speaks of."""
        for fault in faults:
            loc = [str(part) for part in fault["loc"]]
            name = "input" if self._whole else next(iter(loc), "")
            path = ".".join(loc if self._whole else loc[1:])
            text = f"{path}: {fault['msg']}" if path else str(fault["msg"])
            self.add_error(name if name in self.fields else None, text)

    def typed_choices(self) -> list[tuple[str, list[tuple[str, Any]]]]:
        """For fields with options that are no strings: what the page calls each, and its value."""
        choices = {name: choices_of(schema) for name, schema in self._schemas.items()}
        return [
            (name, [(choice_key(value), value) for value in values])
            for name, values in choices.items()
            if not all(isinstance(value, str) for value in values)
        ]

    def chain_input(self) -> Any:
        """The validated form as the chain's input. What was left empty is left out."""
        values = {name: value for name in self._kinds if (value := self._json_value(name)) is not None}
        return values.get("input") if self._whole else values

    def _json_value(self, name: str) -> Any:
        value = self.cleaned_data.get(name)
        if self._kinds[name] == "boolean":
            return bool(value)
        if self._kinds[name] == "messages" and name in self._required:
            return value or []
        if value in (None, ""):
            return None
        if self._kinds[name] == "choice":
            return next(v for v in choices_of(self._schemas[name]) if choice_key(v) == value)
        return value


def followed(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The schema with local references resolved and "or null" dropped; {} for what is no object."""
    for _ in range(MAX_REFS):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: Any = root
            for part in reference[2:].split("/"):
                target = target.get(part) if isinstance(target, dict) else None
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**target, **rest} if isinstance(target, dict) else rest
            continue
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not isinstance(options, list):
            return schema
        real = [option for option in options if option != {"type": "null"}]
        if len(real) != 1 or not isinstance(real[0], dict):
            return schema
        rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf", "allOf")}
        schema = {**real[0], **rest}
    return {}


def kind_of(schema: dict[str, Any]) -> str:
    if choices_of(schema):
        return "choice"
    if message_roles(schema):
        return "messages"
    kinds = schema.get("type")
    if isinstance(kinds, list):
        real = [kind for kind in kinds if kind != "null"]
        kinds = real[0] if len(real) == 1 else None
    known = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}
    return known.get(kinds, "json") if isinstance(kinds, str) else "json"


def choices_of(schema: dict[str, Any]) -> list[Any]:
    values = schema.get("enum")
    if isinstance(values, list):
        return [value for value in values if value is not None]
    return []


def choice_key(value: Any) -> str:
    """The text an option is known by in the page: itself, or its JSON when it is no string."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def message_roles(schema: dict[str, Any]) -> list[str]:
    """The roles of a list of chat messages; empty when the schema is something else."""
    items = schema.get("items")
    properties = items.get("properties") if isinstance(items, dict) else None
    if schema.get("type") != "array" or not isinstance(properties, dict):
        return []
    role, content = properties.get("type"), properties.get("content")
    if not (isinstance(role, dict) and isinstance(content, dict)):
        return []
    return [value for value in choices_of(role) if isinstance(value, str)]


def initial(kind: str, schema: dict[str, Any], value: Any) -> Any:
    """The value as the field shows it; a value of another type is shown as JSON or not at all."""
    if kind == "boolean":
        return value is True
    if value is None:
        return None
    if kind == "text":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if kind in ("integer", "number"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number else None
    if kind == "choice":
        return choice_key(value) if value in choices_of(schema) else None
    return json.dumps(value, ensure_ascii=False, indent=2)


def built(kind: str, schema: dict[str, Any], *, name: str, required: bool) -> forms.Field:
    title, description = schema.get("title"), schema.get("description")
    shared: dict[str, Any] = {
        "label": title if isinstance(title, str) and title else name.replace("_", " ").capitalize(),
        "help_text": description if isinstance(description, str) else "",
        # An unticked box and an empty conversation are values.
        "required": required and kind not in ("boolean", "messages"),
    }
    if kind == "text":
        rows = 6 if schema.get("format") == "textarea" else 2
        return forms.CharField(
            **shared,
            strip=False,
            max_length=length_limit(schema),
            widget=forms.Textarea(attrs={"rows": rows}),
        )
    if kind in ("integer", "number"):
        limits = number_limits(schema)
        if kind == "integer":
            return forms.IntegerField(**shared, **limits)
        return forms.FloatField(**shared, **limits, widget=forms.NumberInput(attrs={"step": "any"}))
    if kind == "boolean":
        return forms.BooleanField(**shared)
    if kind == "choice":
        keys = [choice_key(value) for value in choices_of(schema)]
        blank = "Choose…" if required else "None"
        return forms.ChoiceField(**shared, choices=[("", blank), *((key, key) for key in keys if key)])
    return JSONInput(**shared, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}))


def length_limit(schema: dict[str, Any]) -> int | None:
    limit = schema.get("maxLength")
    return limit if isinstance(limit, int) and limit >= 0 else None


def number_limits(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        argument: schema[keyword]
        for keyword, argument in NUMERIC_LIMITS.items()
        if isinstance(schema.get(keyword), int | float)
    }
