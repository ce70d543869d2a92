"""Finds the JSON value in a model's answer, among the words and marks that models write around it.

An answer that was cut off is refused, and never completed: from the first bracket of what may be JSON to its
counterpart everything is one value or none, so no inner part of it can be taken for the answer. The work is
linear, as this runs in the event loop: the text is read once to find where values end, and each value is
decoded once.
"""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from langchain_core.exceptions import OutputParserException

# More levels than any answer needs, and few enough to encode the value again without a RecursionError.
MAX_DEPTH = 100
# In the whole text. More than a model writes in one answer; objects and lists are what makes decoding slow.
MAX_BRACKETS = 60_000
# Fences, pairs of brackets and ends of reasoning outside of each other.
MAX_MARKS = 2_000
# Where tokens that end an answer are looked for: in this many characters at its end.
MAX_TAIL_CHARS = 256

NOT_JSON = "The answer is not JSON."
CUT = "The answer's JSON is cut off, or its brackets do not match."
UNANSWERED = "The answer is cut off in its reasoning."
AMBIGUOUS = "The answer holds more than one JSON value."
TOO_DEEP = f"The answer's JSON is nested deeper than {MAX_DEPTH} levels."
TOO_MANY = "The answer has too many brackets or fences."

# Zero-width characters and the byte order mark are no whitespace to Python.
BLANKS = "".join(char for char in map(chr, range(0x3001)) if char.isspace()) + "\u200b\u2060\ufeff"
BLANK = re.compile(rf"[{BLANKS}]*")

# <|im_end|>, </s>, and the like: servers pass them on where they do not know the model's template.
END_TOKENS = re.compile(
    rf"(?:(?:<[|｜][^<>|｜\s]{{1,40}}[|｜]>|</?s>|<(?:eos|end_of_turn|end_of_text)>)[{BLANKS}]*)+\Z",  # noqa: RUF001
    re.IGNORECASE,
)

# Reasoning as text. Its beginning may be missing, because many templates put it at the end of the prompt.
REASONING = r"(?:think|thinking|thought|reasoning|seed:think)"
REASONS = re.compile(rf"<{REASONING}>|\[THINK\]|<\|channel\|>analysis<\|message\|>", re.IGNORECASE)
REASONED = rf"(?i:/{REASONING}>)|\|message\|>"

# Each alternative begins with a literal character, so that the search skips the others fast.
REASONED_MARK = re.compile(rf"<(?:{REASONED})|\[/THINK\]")
MARK = re.compile(rf"<(?:{REASONED})|\[/THINK\]|```+|\[|\]|\{{|\}}")
# A fence around the whole text; the word ``json`` needs no line of its own.
OPENED = re.compile(r"```[ \t]*(?:json\b|[\w.+-]*[ \t]*\r?\n)", re.IGNORECASE)
FENCE = re.compile(rf"`{{3,}}[ \t]*([\w.+-]*)[{BLANKS}]*")
# Up to the next bracket outside of strings, or up to what no JSON has there: the end of reasoning, a fence
# after whitespace, the end of the text. It matches everywhere and never goes back, which keeps it linear.
STEP = re.compile(
    rf"""(?: [^"`<\[\]{{}}]++ | "(?:[^"\\]++|\\.)*+"? | <+(?!{REASONED}) | (?!(?<!\S)```)`++ )*+
    (?: ([\]{{}}]|\[(?!/THINK\])) | (?=[<`\[]) | \Z )""",
    re.DOTALL | re.VERBOSE,
)
LEVELS = {"[": 1, "{": 1, "]": -1, "}": -1}
# What was meant as JSON, other than {x} or [1] in words.
LIKE_JSON = re.compile(r'(?:\[\s*)?\{\s*"')
# Among words this cites a source or is a box to tick; as a list it must be the whole answer, or in a fence.
CITATION = re.compile(r"\[(?: |[0-9]+)\]")
LARGE_EXPONENT = re.compile(r"[Ee]\+?[0-9]{3}")


def parse_json(text: str) -> Any:
    """Parse the complete answer as one JSON value; raises OutputParserException, whose text quotes nothing.

    The value may stand in a Markdown fence or among words, after reasoning or before tokens that end an
    answer. A value in a fence counts more than values outside, and an object more than lists. A text, a
    number, true, false or null must be the whole answer.
    """
    text = _without_reasoning(_trimmed(text))
    if sum(map(text.count, LEVELS)) > MAX_BRACKETS:
        raise OutputParserException(TOO_MANY)
    scalar = _decoded(_unfenced(text), brackets=False)
    return _only(_search(text)) if scalar is NOTHING else scalar


# --- The text ----------------------------------------------------------------------------------


def _trimmed(text: str) -> str:
    text = text.strip(BLANKS)
    tokens = END_TOKENS.search(text, max(0, len(text) - MAX_TAIL_CHARS))
    return text[: tokens.start()].rstrip(BLANKS) if tokens else text


def _without_reasoning(text: str) -> str:
    begin = REASONS.match(text)
    if begin is None:
        return text
    end = REASONED_MARK.search(text, begin.end())
    if end is None:
        raise OutputParserException(UNANSWERED)
    return text[end.end() :].lstrip(BLANKS)


def _unfenced(text: str) -> str:
    fence = OPENED.match(text)
    return text[fence.end() : -3].strip(BLANKS) if fence and text.endswith("```") else text


# --- The search --------------------------------------------------------------------------------


@dataclass
class _Values:
    """``fault``: why none of the values can be taken for the answer."""

    items: list[Any] = field(default_factory=list)
    fault: str | None = None


@dataclass
class _Found:
    fenced: _Values = field(default_factory=_Values)
    bare: _Values = field(default_factory=_Values)


class _Fence(NamedTuple):
    """An open fence; ``body`` is the position of the first character in it."""

    body: int
    is_json: bool


def _search(text: str) -> _Found:
    """Find the values that are not inside of others."""
    found, fence, position = _Found(), None, 0
    for _ in range(MAX_MARKS):
        mark = MARK.search(text, position)
        if mark is None:
            return found
        position = mark.end()
        if mark[0] in ("[", "{"):
            position = _take(text, mark.start(), fence, found)
        elif mark[0] in ("]", "}"):
            # The beginning is missing: what was found so far may be an inner part.
            found.bare.fault = CUT
        elif mark[0].startswith("`"):
            fence = _fence(text, mark.start(), fence)
        else:
            # Reasoning had no beginning: what was found so far is a draft.
            found, fence = _Found(), None
    raise OutputParserException(TOO_MANY)


def _fence(text: str, start: int, fence: _Fence | None) -> _Fence | None:
    """The fence that is open after the one at ``start``, where ``fence`` was open before it."""
    mark = FENCE.match(text, start)
    assert mark is not None
    is_json = mark[1].lower().startswith("json")
    # A fence with this word always begins, as words before it may have had a fence without an end.
    return _Fence(mark.end(), is_json) if is_json or fence is None else None


def _take(text: str, start: int, fence: _Fence | None, found: _Found) -> int:
    """Add the value that begins at ``start``, if it is one; returns where to search on."""
    end, is_complete = _end(text, start)
    is_first = fence is not None and start == fence.body
    if not is_complete:
        (found.fenced if is_first else found.bare).fault = CUT
        return end
    value = _decoded(text[start:end], brackets=True)
    if value is not NOTHING:
        if is_first and _ends_fence(text, end):
            found.fenced.items.append(value)
        elif end - start == len(text) or not CITATION.fullmatch(text, start, end):
            found.bare.items.append(value)
    elif fence is not None and fence.is_json and is_first:
        found.fenced.fault = NOT_JSON
    elif LIKE_JSON.match(text, start):
        # This was meant to be the answer, and what stands before it was an example.
        found.bare.items.clear()
    return end


def _end(text: str, start: int) -> tuple[int, bool]:
    """Where the bracket at ``start`` has its counterpart, and True; or where that is given up, and False."""
    depth = 0
    for step in STEP.finditer(text, start):
        bracket = step[1]
        if bracket is None:
            return step.end(), False
        depth += LEVELS[bracket]
        if depth == 0:
            return step.end(), True
        if depth > MAX_DEPTH:
            raise OutputParserException(TOO_DEEP)
    raise AssertionError("The last step has no bracket.")


def _ends_fence(text: str, position: int) -> bool:
    blank = BLANK.match(text, position)
    assert blank is not None
    # A fence may have no end: some servers take it for the end of the answer, and leave it out.
    return blank.end() == len(text) or text.startswith("```", blank.end())


def _only(found: _Found) -> Any:
    for values in (found.fenced, found.bare):
        if values.fault is not None:
            raise OutputParserException(values.fault)
        if values.items:
            return _one(values.items)
    raise OutputParserException(NOT_JSON)


def _one(values: list[Any]) -> Any:
    objects = [value for value in values if isinstance(value, dict)]
    # Empty brackets among words are a sign for something, and a value that comes twice is one.
    values = objects or values
    first, *others = [value for value in values if value] or values
    if any(other != first for other in others):
        raise OutputParserException(AMBIGUOUS)
    return first


# --- JSON --------------------------------------------------------------------------------------

NOTHING = object()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("A number is too large.")
    return number


# Models write line ends into texts as they are; ``strict`` would refuse them.
DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)
# Takes several times as long for each number with a fraction.
CAREFUL_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant, parse_float=_finite)


def _decoded(text: str, *, brackets: bool) -> Any:
    """The value, or NOTHING if ``text`` is no JSON, or is in brackets while it should not be, or reverse."""
    if text.startswith(("[", "{")) != brackets:
        return NOTHING
    try:
        return (CAREFUL_DECODER if _may_overflow(text) else DECODER).decode(text)
    except ValueError:
        return NOTHING


def _may_overflow(text: str) -> bool:
    """Whether ``text`` may have a number that no float holds."""
    # One fits that has less than 200 digits and an exponent below 100. More digits fill one of these pieces.
    pieces = (text[start : start + 100] for start in range(0, len(text), 100))
    return LARGE_EXPONENT.search(text) is not None or any(map(str.isdecimal, pieces))
