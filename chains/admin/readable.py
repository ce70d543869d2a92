"""Versions as texts for people, and the differences between two texts."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from chains.admin.optiontext import choices_text
from chains.runtime.spec.chain import Spec
from chains.runtime.spec.options import AnyOption
from chains.runtime.steps import DEFAULT_KIND
from chains.runtime.steps.base import Step
from chains.runtime.steps.llm import NumberOption
from chains.runtime.steps.prompts import Placeholder, PromptSpec, Variable

# Of two texts at most this many lines are compared, between their equal beginnings and ends.
MAX_LINES = 2000
# Words are compared in at most this many lines, of at most this many characters.
MAX_LINES_BY_WORDS = 100
MAX_WORDS_LINE = 2000


def prompt_text(spec: PromptSpec) -> str:
    parts = []
    for message in spec.messages:
        if isinstance(message, Placeholder):
            optional = ", optional" if message.optional else ""
            parts.append(f"── messages from the caller: {message.placeholder}{optional}")
        else:
            parts.append(f"── {message.role}\n{message.content}")
    if spec.variables:
        parts.append("── variables\n" + "\n".join(_variable_text(v) for v in spec.variables))
    return "\n\n".join(parts)


def _variable_text(variable: Variable) -> str:
    text = f"{variable.name}: {variable.type}"
    if variable.choices:
        text += f" of {', '.join(variable.choices)}"
    if variable.default is not None:
        text += f", default {json.dumps(variable.default, ensure_ascii=False)}"
    return text + (f" - {variable.description}" if variable.description else "")


def chain_text(spec: Spec) -> str:
    parts = [_step_text(number, step) for number, step in enumerate(spec.steps, start=1)]
    if spec.fallbacks:
        parts.append("── fallbacks\n" + "\n".join(f"{t.provider}: {t.model}" for t in spec.fallbacks))
    if spec.timeouts.run_s is not None:
        parts.append(f"── limits\nwhole run: {spec.timeouts.run_s:g} s")
    parts += [_option_text(option) for option in spec.configurable]
    return "\n\n".join(parts)


def _step_text(number: int, step: Step) -> str:
    kind = "" if step.kind == DEFAULT_KIND else f" ({step.kind})"
    return "\n".join([f"── step {number}: {step.name}{kind}", *step.readable()])


def _option_text(option: AnyOption) -> str:
    what = option.field.replace("_", " ")
    lines = [f"── callers may choose {option.name}: the {what} of {option.step}"]
    if isinstance(option, NumberOption):
        lines.append(f"from {option.minimum:.10g} to {option.maximum:.10g}")
    lines += choices_text(option).splitlines()
    if option.description:
        lines.append(f"description: {option.description}")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class DiffLine:
    """A line of a diff. ``parts`` are (changed, text); together the texts make the line."""

    sign: Literal["+", "-", " "]
    parts: tuple[tuple[bool, str], ...]


def diff(old: str, new: str) -> list[DiffLine]:
    """Return every line of both texts, in reading order.

    Lines beyond MAX_LINES, between the equal beginnings and ends of the texts, are shown as replaced.
    """
    before, after = old.splitlines(), new.splitlines()
    begin = _equal_at_the_beginning(before, after)
    end = _equal_at_the_beginning(before[begin:][::-1], after[begin:][::-1])
    return [
        *_all(" ", before[:begin]),
        *_changes(before[begin : len(before) - end], after[begin : len(after) - end]),
        *_all(" ", before[len(before) - end :]),
    ]


def _equal_at_the_beginning(before: Sequence[str], after: Sequence[str]) -> int:
    pairs = enumerate(zip(before, after, strict=False))
    return next((i for i, (old, new) in pairs if old != new), min(len(before), len(after)))


def _all(sign: Literal["+", "-", " "], texts: Iterable[str]) -> list[DiffLine]:
    return [DiffLine(sign=sign, parts=((False, text),)) for text in texts]


def _changes(before: Sequence[str], after: Sequence[str]) -> list[DiffLine]:
    lines: list[DiffLine] = []
    by_words = 0
    # What is repeated often is junk to the matcher, which keeps its time from growing with the third power.
    matcher = SequenceMatcher(None, before[:MAX_LINES], after[:MAX_LINES])
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            lines += _all(" ", before[i1:i2])
            continue
        pairs = min(i2 - i1, j2 - j1, MAX_LINES_BY_WORDS - by_words)
        by_words += pairs
        for old_line, new_line in zip(before[i1 : i1 + pairs], after[j1 : j1 + pairs], strict=True):
            lines += _changed_line(old_line, new_line)
        lines += _all("-", before[i1 + pairs : i2]) + _all("+", after[j1 + pairs : j2])
    return lines + _all("-", before[MAX_LINES:]) + _all("+", after[MAX_LINES:])


def _changed_line(old: str, new: str) -> list[DiffLine]:
    short = max(len(old), len(new)) <= MAX_WORDS_LINE
    before, after = (re.findall(r"\w+|\s+|\W", line) if short else [] for line in (old, new))
    matcher = SequenceMatcher(None, before, after)
    if not short or matcher.ratio() < 0.5:
        return [DiffLine(sign="-", parts=((False, old),)), DiffLine(sign="+", parts=((False, new),))]
    removed, added = [], []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        removed.append((tag != "equal", "".join(before[i1:i2])))
        added.append((tag != "equal", "".join(after[j1:j2])))
    return [
        DiffLine(sign="-", parts=tuple(part for part in removed if part[1])),
        DiffLine(sign="+", parts=tuple(part for part in added if part[1])),
    ]
