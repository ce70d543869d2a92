"""Prompts as data: chat messages with plain ``{name}`` variables, and the inputs that they need."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import Field, model_validator

from chains.runtime.data import Frozen
from chains.runtime.errors import InvalidTemplate
from chains.runtime.names import NAME_PATTERN, Name
from chains.runtime.wire.messages import messages_schema

Role = Literal["system", "human", "ai"]
VariableType = Literal["string", "text", "integer", "number", "boolean", "choice"]

MAX_TEMPLATE_CHARS = 64 * 1024
MAX_VARIABLES = 64
MAX_MESSAGES = 100


class MessageTemplate(Frozen):
    role: Role
    content: str

    @property
    def variables(self) -> tuple[str, ...]:
        return template_variables(self.content)

    @model_validator(mode="after")
    def _is_plain(self) -> "MessageTemplate":
        self.variables  # noqa: B018 raises InvalidTemplate
        return self


class Placeholder(Frozen):
    """Stands for a list of messages that the caller sends."""

    placeholder: Name
    optional: bool = False


class Variable(Frozen):
    """Declares a variable for the JSON Schema and the form; undeclared variables are required strings."""

    name: Name
    type: VariableType = "string"
    description: str = ""
    default: str | int | float | bool | None = None
    choices: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Variable":
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("Choices belong to the type 'choice', which needs at least one.")
        expected = {"integer": int, "number": (int, float), "boolean": bool}.get(self.type, str)
        is_bool = isinstance(self.default, bool)
        if self.default is not None and (
            not isinstance(self.default, expected) or is_bool != (self.type == "boolean")  # type: ignore[arg-type]
        ):
            raise ValueError(f"The default of {self.name!r} is not of the type {self.type!r}.")
        if self.choices and self.default is not None and self.default not in self.choices:
            raise ValueError(f"The default of {self.name!r} is not one of its choices.")
        return self

    @property
    def json_schema(self) -> dict[str, Any]:
        kind = "string" if self.type in ("text", "choice") else self.type
        schema: dict[str, Any] = {"type": kind, "title": self.name.replace("_", " ").capitalize()}
        if self.type == "text":
            schema["format"] = "textarea"
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.description:
            schema["description"] = self.description
        if self.default is not None:
            schema["default"] = self.default
        return schema


class PromptSpec(Frozen):
    """One version of a prompt."""

    messages: tuple[MessageTemplate | Placeholder, ...] = Field(min_length=1, max_length=MAX_MESSAGES)
    variables: tuple[Variable, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> "PromptSpec":
        used, placeholders = self.used_variables, self.placeholders
        if len(used) + len(placeholders) > MAX_VARIABLES:
            raise ValueError(f"At most {MAX_VARIABLES} variables.")
        if both := set(used) & set(placeholders):
            raise ValueError(f"{sorted(both)[0]!r} is both a variable and a placeholder.")
        declared = [variable.name for variable in self.variables]
        if len(set(declared)) != len(declared):
            raise ValueError("A variable is declared twice.")
        if unused := [name for name in declared if name not in used]:
            raise ValueError(f"No message uses the variable {unused[0]!r}.")
        return self

    @property
    def used_variables(self) -> tuple[str, ...]:
        """Names of variables, in order of first use."""
        names = (n for m in self.messages if isinstance(m, MessageTemplate) for n in m.variables)
        return tuple(dict.fromkeys(names))

    @property
    def placeholders(self) -> dict[str, Placeholder]:
        return {m.placeholder: m for m in self.messages if isinstance(m, Placeholder)}

    def properties(self, *, system_messages: bool = False) -> dict[str, tuple[dict[str, Any], bool]]:
        """Each input's JSON Schema and whether it is required, in order of first use."""
        declared = {variable.name: variable for variable in self.variables}
        result: dict[str, tuple[dict[str, Any], bool]] = {}
        for message in self.messages:
            if isinstance(message, Placeholder):
                title = message.placeholder.replace("_", " ").capitalize()
                schema = {**messages_schema(system=system_messages), "title": title}
                result.setdefault(message.placeholder, (schema, not message.optional))
                continue
            for name in message.variables:
                variable = declared.get(name) or Variable(name=name)
                result.setdefault(name, (variable.json_schema, variable.default is None))
        return result


def template_variables(template: str) -> tuple[str, ...]:
    """The names of the ``{name}`` variables in a template; ``{{`` and ``}}`` are literal braces.

    Format specs, conversions, attributes and indexes are refused: a width could use up the memory, and the
    others give access to the internals of objects. Raises InvalidTemplate for the first fault.
    """
    if len(template) > MAX_TEMPLATE_CHARS:
        raise _fault(template, MAX_TEMPLATE_CHARS, f"is longer than {MAX_TEMPLATE_CHARS} characters")
    names: dict[str, None] = {}
    for match in re.finditer(r"\{\{|\}\}|\{([^{}]*)(\}?)|\}", template):
        if match[0] in ("{{", "}}"):
            continue
        if match[0] == "}":
            raise _fault(template, match.start(), "has a single '}': write '}}' for a brace")
        name, closed = match[1], match[2]
        if not closed:
            raise _fault(template, match.start(), "has a '{' that is not closed: write '{{' for a brace")
        if not re.fullmatch(NAME_PATTERN[1:-1], name):
            what = f"has {{{name[:80]}}}, which is not a plain {{name}}: write '{{{{' and '}}}}' for braces"
            raise _fault(template, match.start(), what)
        names[name] = None
    return tuple(names)


# Four braces are how someone who knows the syntax writes two of them, and three are a variable in braces.
_BRACES = re.compile(
    rf"(?:\{{\{{){{2,}}|\{{\{{[ \t]*({NAME_PATTERN[1:-1]})[ \t]*\}}\}}|\{{\{{|\{{[^{{}}]*\}}"
)


def names_in_braces(template: str) -> tuple[str, ...]:
    """The names in ``{{name}}``, as other template languages write a variable: here it is text in braces."""
    return tuple(dict.fromkeys(match[1] for match in _BRACES.finditer(template) if match[1]))


def _fault(template: str, position: int, what: str) -> InvalidTemplate:
    line = template.count("\n", 0, position) + 1
    column = position - (template.rfind("\n", 0, position) + 1) + 1
    return InvalidTemplate(f"The template {what} (line {line}, column {column}).", position=position)


# --- Rendering ---------------------------------------------------------------------------------

ROLES: Mapping[str, type[BaseMessage]] = {"system": SystemMessage, "human": HumanMessage, "ai": AIMessage}


def rendered(prompt: PromptSpec, values: Mapping[str, Any]) -> list[BaseMessage]:
    """The prompt's messages with ``values`` filled in. Validation has made sure that templates are plain."""
    texts = Texts(values)
    messages: list[BaseMessage] = []
    for part in prompt.messages:
        if isinstance(part, Placeholder):
            messages += _messages(values.get(part.placeholder, []))
        else:
            messages.append(ROLES[part.role](content=part.content.format_map(texts)))
    return messages


class Texts(Mapping[str, str]):
    """The values as texts for a template."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = values

    def __getitem__(self, name: str) -> str:
        value = self._values[name]
        return value.text if isinstance(value, BaseMessage) else as_text(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def as_text(value: Any) -> str:
    """The text of a value for a prompt: text unchanged, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _messages(value: Any) -> list[BaseMessage]:
    """The messages that a caller sent, or the output of an earlier step as one AI message.

    An output is not decoded, even where it is JSON that looks like messages: it could choose its own role.
    """
    if isinstance(value, list) and all(isinstance(item, BaseMessage) for item in value):
        return value
    return [AIMessage(value.text if isinstance(value, BaseMessage) else as_text(value))]
