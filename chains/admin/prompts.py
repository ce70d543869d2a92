"""Prompts in the admin: messages and variables as rows."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from pydantic import ValidationError as InvalidData

from accounts.models import User
from chains.actions.prompts import chains_served_by, publish_prompt_version
from chains.admin.cells import TemplateField, name_field
from chains.admin.readable import prompt_text
from chains.admin.rows import Row, RowsField, add_row_error
from chains.admin.versioned import VersionedForm
from chains.admin.versions import VersionedAdmin
from chains.models import Chain, Prompt, PromptVersion
from chains.runtime.errors import InvalidTemplate
from chains.runtime.steps.prompts import (
    MAX_MESSAGES,
    MAX_VARIABLES,
    MessageTemplate,
    Placeholder,
    PromptSpec,
    Variable,
    template_variables,
)
from chains.runtime.wire.fielderrors import describe

PLACEHOLDER = "placeholder"


class MessageRow(Row):
    role = forms.ChoiceField(
        choices=[
            ("system", "System"),
            ("human", "Human"),
            ("ai", "AI"),
            (PLACEHOLDER, "Messages from the caller"),
        ],
        initial="human",
    )
    content = TemplateField(required=False)
    name = name_field(
        required=False,
        label="Name of the input",
        help_text="The input that holds the messages, such as history.",
    )
    optional = forms.BooleanField(required=False, label="May be left out")

    def clean_content(self) -> str:
        content = str(self.cleaned_data["content"])
        if self.cleaned_data.get("role") == PLACEHOLDER:
            return content
        if not content.strip():
            raise ValidationError("Write the message, or remove this row.", code="required")
        try:
            template_variables(content)
        except InvalidTemplate as error:
            raise ValidationError(str(error)) from error
        return content

    def clean(self) -> None:
        if self.cleaned_data.get("role") == PLACEHOLDER and not self.cleaned_data.get("name", "missing"):
            self.add_error("name", "Name the input that holds the messages.")


class VariableRow(Row):
    name = name_field()
    type = forms.ChoiceField(
        choices=[
            ("string", "Text, one line"),
            ("text", "Text, several lines"),
            ("integer", "Whole number"),
            ("number", "Number"),
            ("boolean", "Yes or no"),
            ("choice", "One of several"),
        ],
        initial="string",
    )
    default = forms.CharField(required=False, help_text="Without one, callers have to give a value.")
    description = forms.CharField(required=False, max_length=500, help_text="Shown beside the field.")
    choices = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="One in each line."
    )

    def clean(self) -> None:
        if self.errors:
            return
        try:
            Variable.model_validate(variable_data(self.cleaned_data))
        except (InvalidData, ValueError) as error:
            text = describe(error) if isinstance(error, InvalidData) else str(error)
            self.add_error("choices" if "Choices" in text else "default", text)


def variable_data(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as data for a ``Variable``. Raises ValueError for a default of another type."""
    choices = [line.strip() for line in row["choices"].splitlines() if line.strip()]
    return {
        "name": row["name"],
        "type": row["type"],
        "description": row["description"],
        "default": _default(row["type"], row["default"]),
        "choices": choices if row["type"] == "choice" else [],
    }


def _default(kind: str, text: str) -> str | int | float | bool | None:
    if not text:
        return None
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            number = float(text)
            if number - number == 0:
                return number
            raise ValueError
        if kind == "boolean":
            return {"yes": True, "true": True, "no": False, "false": False}[text.lower()]
    except (ValueError, KeyError):
        wanted = {"integer": "a whole number", "number": "a number", "boolean": "yes or no"}[kind]
        raise ValueError(f"The default is not {wanted}.") from None
    return text


def _default_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def message_row(message: Any) -> dict[str, Any]:
    if isinstance(message, Placeholder):
        return {
            "role": PLACEHOLDER,
            "content": "",
            "name": message.placeholder,
            "optional": message.optional,
        }
    return {"role": message.role, "content": message.content, "name": "", "optional": False}


def message_data(row: dict[str, Any]) -> dict[str, Any]:
    if row["role"] == PLACEHOLDER:
        return {"placeholder": row["name"], "optional": row["optional"]}
    return {"role": row["role"], "content": row["content"]}


def variable_row(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "type": variable.type,
        "default": _default_text(variable.default),
        "description": variable.description,
        "choices": "\n".join(variable.choices),
    }


class PromptForm(VersionedForm):
    rows = ("messages", "variables")
    messages = RowsField(MessageRow, noun="message", max_rows=MAX_MESSAGES)
    variables = RowsField(VariableRow, noun="variable", max_rows=MAX_VARIABLES, required=False)

    def typed(self, version: PromptVersion) -> dict[str, Any]:
        spec = version.spec
        return {
            "messages": [message_row(message) for message in spec.messages],
            "variables": [variable_row(variable) for variable in spec.variables],
        }

    def read_spec(self) -> PromptSpec | None:
        data = {
            "messages": [message_data(row) for row in self.cleaned_data["messages"]],
            "variables": [variable_data(row) for row in self.cleaned_data["variables"]],
        }
        self._refuse_idle_variables()
        if self.errors:
            return None
        try:
            return PromptSpec.model_validate(data)
        except InvalidData as error:
            self.add_error("messages", describe(error))
            return None

    def _refuse_idle_variables(self) -> None:
        texts = [row["content"] for row in self.cleaned_data["messages"] if row["role"] != PLACEHOLDER]
        used = {name for text in texts for name in template_variables(text)}
        times = Counter(row["name"] for row in self.cleaned_data["variables"])
        for index, row in enumerate(self.cleaned_data["variables"]):
            if row["name"] not in used:
                add_row_error(self, "variables", index, f"No message uses {{{row['name']}}}.", cell="name")
            elif times[row["name"]] > 1:
                add_row_error(self, "variables", index, "This variable stands here twice.", cell="name")


@admin.register(Prompt)
class PromptAdmin(VersionedAdmin):
    form = PromptForm
    fieldsets = [
        (None, {"fields": ["slug", "name", "description", "base"]}),
        (
            "Messages",
            {
                "fields": ["messages"],
                "classes": ["rows-fieldset"],
                "description": "Write variables as <code>{name}</code>, and a brace itself as "
                "<code>{{</code> or <code>}}</code>.",
            },
        ),
        (
            "Variables",
            {
                "fields": ["variables"],
                "classes": ["rows-fieldset"],
                "description": "Optional: a variable that is not described here is a required text.",
            },
        ),
        ("This version", {"fields": ["note"]}),
    ]

    def publish(self, version: PromptVersion, *, by: User | None, label: str) -> bool:
        return publish_prompt_version(version=version, by=by, label=label)

    def text_of(self, version: PromptVersion) -> str:
        return prompt_text(version.spec)

    def templates_of(self, version: PromptVersion) -> Iterator[tuple[str, str]]:
        for number, message in enumerate(version.spec.messages, 1):
            if isinstance(message, MessageTemplate):
                yield f"Message {number}", message.content

    def affected_by(self, versioned: Prompt, label: str) -> list[Chain]:
        return chains_served_by(prompt=versioned, label=label)
