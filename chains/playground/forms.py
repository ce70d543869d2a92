"""Forms for a chain's input and for its configurable options, built from JSON Schemas."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict

from chains.playground.fields import built, initial
from chains.runtime.errors import FieldError
from chains.runtime.wire.config import CONFIGURABLE
from chains.runtime.wire.schemas import (
    choice_key,
    choices_of,
    followed,
    is_pairs,
    kind_of,
    label_of,
    message_roles,
)


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One row of the page's form: the Django field, and the data that the page's script needs.

    ``kind`` is the result of ``schemas.kind_of``.
    """

    bound: forms.BoundField
    name: str
    kind: str
    required: bool
    element_id: str
    roles: list[str] = field(default_factory=list)
    is_pairs: bool = False

    @property
    def shows_name(self) -> bool:
        """Return whether the label differs from the name that programs use."""
        label = str(self.bound.label)
        return label.casefold().replace(" ", "_") != self.name.casefold()


class SchemaForm(forms.Form):
    """Base of forms with a field for each property of a schema. Subclasses choose the properties."""

    use_required_attribute = False

    def __init__(
        self,
        root: dict[str, Any],
        *,
        data: MultiValueDict[str, Any] | None,
        prefix: str | None = None,
        system_messages: bool = False,
    ) -> None:
        super().__init__(data, auto_id=False, prefix=prefix)
        self._root = root
        self._allows_system = system_messages
        self._kinds: dict[str, str] = {}
        self._required: set[str] = set()
        self._schemas: dict[str, dict[str, Any]] = {}

    def _add(self, name: str, written: Any, *, required: bool, given: dict[str, Any]) -> None:
        schema = followed(written, self._root)
        kind = kind_of(schema, self._root)
        django_field = built(kind, schema, label=label_of(name, written, schema), required=required)
        django_field.initial = initial(kind, schema, given.get(name, schema.get("default")))
        element_id = f"{self.prefix + '-' if self.prefix else ''}field-{len(self._kinds)}"
        django_field.widget.attrs |= {
            "id": element_id,
            "aria-describedby": f"{element_id}-help {element_id}-error",
        }
        if kind == "text" and not required and isinstance(schema.get("default"), str):
            # If the user leaves the field empty, it is not sent and the default applies. So show the default.
            django_field.widget.attrs["placeholder"] = schema["default"]
        if required:
            self._required.add(name)
        if django_field.required:
            django_field.widget.attrs["aria-required"] = "true"
        self.fields[name] = django_field
        self._kinds[name] = kind
        self._schemas[name] = schema

    def form_fields(self) -> Iterator[FormField]:
        for name, kind in self._kinds.items():
            schema = self._schemas[name]
            roles = message_roles(schema, self._root) if kind == "messages" else []
            yield FormField(
                bound=self[name],
                name=name,
                kind=kind,
                required=name in self._required and kind != "boolean",
                element_id=self.fields[name].widget.attrs["id"],
                roles=[role for role in roles if role != "system" or self._allows_system],
                is_pairs=kind == "messages" and is_pairs(schema),
            )

    def typed_choices(self) -> list[tuple[str, list[tuple[str, Any]]]]:
        """Return the options of fields whose options are not all strings: (shown text, value) for each."""
        choices = {
            name: choices_of(schema)
            for name, schema in self._schemas.items()
            if self._kinds[name] == "choice"
        }
        return [
            (name, [(choice_key(value), value) for value in values])
            for name, values in choices.items()
            if not all(isinstance(value, str) for value in values)
        ]

    def add_faults(self, faults: Sequence[FieldError]) -> None:
        """Show each of the chain's input errors at its field; errors without a field go to the form."""
        for fault in faults:
            loc = [str(part) for part in fault["loc"]]
            name, *rest = loc or [""]
            text = f"{'.'.join(rest)}: {fault['msg']}" if rest else str(fault["msg"])
            self.add_error(name if name in self.fields else None, text)

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

    def _json_values(self) -> dict[str, Any]:
        return {name: value for name in self._kinds if (value := self._json_value(name)) is not None}


class InputForm(SchemaForm):
    """The form of a chain's input. `value` fills it; `chain_input()` returns its JSON value.

    A schema that is not an object with properties becomes one field for the complete input.
    """

    def __init__(
        self,
        schema: dict[str, Any],
        *,
        value: Any = None,
        data: MultiValueDict[str, Any] | None = None,
        system_messages: bool = False,
    ) -> None:
        super().__init__(schema, data=data, system_messages=system_messages)
        root = followed(schema, schema)
        properties = root.get("properties")
        self._whole = not (isinstance(properties, dict) and properties)
        if self._whole:
            if root.get("type") == "object":
                root = {"default": {}, **root}
            given = {} if value is None else {"input": value}
            self._add("input", {**root, "title": "Input"}, required=True, given=given)
            return
        required = root.get("required")
        names = required if isinstance(required, list) else []
        given = value if isinstance(value, dict) else {}
        assert isinstance(properties, dict)
        for name, property_schema in properties.items():
            self._add(name, property_schema, required=name in names, given=given)

    def is_whole(self) -> bool:
        """Return whether the form has one field for the complete input."""
        return self._whole

    def add_faults(self, faults: Sequence[FieldError]) -> None:
        prefix = ["input"] if self._whole else []
        super().add_faults([{**fault, "loc": [*prefix, *fault["loc"]]} for fault in faults])

    def chain_input(self) -> Any:
        """Return the validated form as the chain's input, without the fields that were left empty."""
        values = self._json_values()
        return values.get("input") if self._whole else values


class ConfigForm(SchemaForm):
    """The form of a chain's configurable options. `chosen()` returns the values that are not the defaults."""

    def __init__(
        self,
        schema: dict[str, Any],
        *,
        value: Any = None,
        data: MultiValueDict[str, Any] | None = None,
    ) -> None:
        """``schema`` is the chain's complete config_schema; ``value`` is an earlier result of ``chosen``."""
        super().__init__(schema, data=data, prefix=CONFIGURABLE)
        top = followed(schema, schema).get("properties")
        options = followed(top.get(CONFIGURABLE), schema) if isinstance(top, dict) else {}
        properties = options.get("properties")
        given = value if isinstance(value, dict) else {}
        for name, property_schema in properties.items() if isinstance(properties, dict) else ():
            self._add(name, property_schema, required=False, given=given)

    def defaults(self) -> list[tuple[str, Any]]:
        """Return each field's name and default. A value equal to its default is not sent."""
        return [(name, self._default(name)) for name in self._kinds]

    def chosen(self) -> dict[str, Any]:
        values = self._json_values()
        return {name: value for name, value in values.items() if value != self._default(name)}

    def is_touched(self) -> bool:
        """Return whether the page must open this section, because it has errors or values to show."""
        if self.is_bound:
            return bool(self.errors or self.chosen())
        return any(
            field.initial != initial(self._kinds[name], self._schemas[name], self._default(name))
            for name, field in self.fields.items()
        )

    def _default(self, name: str) -> Any:
        unset = False if self._kinds[name] == "boolean" else None
        return self._schemas[name].get("default", unset)
