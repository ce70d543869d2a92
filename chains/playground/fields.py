"""Django fields for the values of a JSON Schema."""

import json
from typing import Any

from django import forms

from chains.runtime.wire.schemas import choice_key, choices_of
from chains.runtime.wire.values import encode

NUMERIC_LIMITS = {"minimum": "min_value", "maximum": "max_value"}


class JSONInput(forms.JSONField):
    """A field for JSON text. JSON that Python cannot parse or a database cannot store is invalid."""

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

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return the text as the user typed it, to be shown again."""
        return data

    def prepare_value(self, value: Any) -> Any:
        """Return the text unchanged: `initial()` has written it as JSON, or the user has typed it."""
        return value


def built(kind: str, schema: dict[str, Any], *, label: str, required: bool) -> forms.Field:
    description = schema.get("description")
    shared: dict[str, Any] = {
        "label": label,
        "help_text": description if isinstance(description, str) else "",
        # A box that is not checked and an empty list of messages are valid values.
        "required": required and kind not in ("boolean", "messages"),
    }
    if kind in ("text", "file"):
        return text_field(kind, schema, shared)
    if kind in ("integer", "number"):
        limits = number_limits(schema)
        if kind == "integer":
            return forms.IntegerField(**shared, **limits)
        return forms.FloatField(**shared, **limits, widget=forms.NumberInput(attrs={"step": "any"}))
    if kind == "boolean":
        return forms.BooleanField(**shared)
    if kind == "choice":
        keys = [choice_key(value) for value in choices_of(schema)]
        blank = [] if has_default(schema) else [("", "Choose…" if required else "None")]
        return forms.ChoiceField(**shared, choices=[*blank, *((key, key) for key in keys if key)])
    return JSONInput(**shared, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}))


def text_field(kind: str, schema: dict[str, Any], shared: dict[str, Any]) -> forms.CharField:
    """Return a field for a text or a file.

    A file is base64 text. The page's script writes it; without a script the user pastes it.
    """
    if kind == "file":
        attributes = {"rows": 4, "spellcheck": "false"}
    else:
        attributes = {"rows": 6 if schema.get("format") == "textarea" else 2}
    return forms.CharField(
        **shared,
        strip=kind == "file",
        max_length=length_limit(schema),
        widget=forms.Textarea(attrs=attributes),
    )


def initial(kind: str, schema: dict[str, Any], value: Any) -> Any:
    """Return ``value`` as the field shows it. A value of another type is shown as JSON or not at all."""
    if kind == "boolean":
        return value is True
    if value is None:
        return None
    if kind in ("text", "file"):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if kind in ("integer", "number"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number else None
    if kind == "choice":
        return choice_key(value) if value in choices_of(schema) else None
    return json.dumps(value, ensure_ascii=False, indent=2)


def has_default(schema: dict[str, Any]) -> bool:
    """Return whether the schema has a default that is one of the choices."""
    return schema.get("default") is not None and schema["default"] in choices_of(schema)


def length_limit(schema: dict[str, Any]) -> int | None:
    limit = schema.get("maxLength")
    return limit if isinstance(limit, int) and limit >= 0 else None


def number_limits(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        argument: schema[keyword]
        for keyword, argument in NUMERIC_LIMITS.items()
        if isinstance(schema.get(keyword), int | float)
    }
