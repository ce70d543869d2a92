"""The choices of an option as lines of text, for people to read and write."""

import json
from typing import Any

from chains.runtime.names import PRODUCTION
from chains.runtime.spec.options import AnyOption
from chains.runtime.steps.llm import ModelOption, PromptOption, StepOption
from chains.runtime.wire.lines import is_plain, numbered_lines, parse_json, parse_lines


def choices_text(option: AnyOption) -> str:
    """Return the lines that ``parse_choices`` can parse; "" for an option that has limits."""
    if isinstance(option, ModelOption):
        return "\n".join(m if is_plain(m) else json.dumps(m, ensure_ascii=False) for m in option.choices)
    if isinstance(option, PromptOption):
        return "\n".join(f"{name} = {ref.slug}@{ref.ref}" for name, ref in option.choices.items())
    if isinstance(option, StepOption):
        changes = {
            name: change.model_dump(mode="json", exclude_defaults=True)
            for name, change in option.choices.items()
        }
        return "\n".join(f"{name} = {json.dumps(d, ensure_ascii=False)}" for name, d in changes.items())
    return ""


def parse_choices(field: str, text: str) -> Any:
    """Return the choices as data for the kind of option ``field``, not validated yet.

    Raises ValueError that names the line.
    """
    if field == "model":
        return [_model(number, line) for number, line in numbered_lines(text)]
    values = parse_lines(text)
    if field == "prompt":
        return {name: _prompt(value) for name, value in values.items()}
    return {name: _change(name, value) for name, value in values.items()}


def _model(number: int, line: str) -> str:
    if is_plain(line):
        return line
    try:
        return str(parse_json(line))
    except ValueError as error:
        raise ValueError(f"Line {number}: {error}") from error


def _prompt(text: str) -> dict[str, str]:
    slug, at, ref = (part.strip() for part in text.partition("@"))
    return {"slug": slug, "ref": ref if at else PRODUCTION}


def _change(name: str, text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
