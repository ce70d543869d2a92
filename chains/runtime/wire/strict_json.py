"""The JSON parser for everything that callers send, over HTTP and WebSocket."""

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, NoReturn

from chains.runtime.wire.values import UNSTORABLE

MAX_DEPTH = 32
MAX_LIST_ITEMS = 1000
# In all lists and objects together. Each costs time in the event loop, here and where the input is validated.
MAX_VALUES = 20_000
MAX_INTEGER = 2**63
# Also matches a string that is not closed. Otherwise the search would start again at each of its quotes,
# which takes quadratic time.
STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
AS_SQUARE = bytes.maketrans(b"{}", b"[]")
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
NO_MARKS = bytes(set(range(256)) - set(b"[]{},"))


class InvalidJSON(Exception):
    """``status`` is the HTTP status, as in LangServe: 400 where the bytes are not UTF-8, else 422."""

    def __init__(self, message: str, status: int = 422):
        super().__init__(message)
        self.status = status


def strict_json(data: bytes) -> Any:
    """Parse ``data`` as JSON with values that can be stored and sent back; raises InvalidJSON.

    A byte order mark before it is skipped, as some editors write one. Besides invalid JSON it refuses nesting
    over 32 levels, duplicate keys, NaN and numbers that overflow, integers beyond 64 bits, U+0000, lone
    surrogates, lists over 1000 items, and more than 20,000 values. Values and depth are counted before
    parsing, because the parser recurses and takes about 1 µs for each value.
    """
    data = data.removeprefix(BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJSON("The body is not UTF-8.", 400) from None
    if not text.strip():
        raise InvalidJSON("The body is empty; it must be a JSON object.")
    marks = _marks(data)
    # No JSON that is valid and has few enough values has more marks.
    _check_depth(marks[: 2 * MAX_VALUES])
    if marks.count(b",") + marks.count(b"[") + marks.count(b"{") > MAX_VALUES:
        raise _too_many()
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_small_integer,
            object_pairs_hook=_unique_keys,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidJSON(f"Invalid JSON body: {error.msg} ({place}).") from None
    _check_values(value)
    return value


def strict_json_object(data: bytes) -> dict[str, Any]:
    """``strict_json`` for data that must be an object."""
    value = strict_json(data)
    if not isinstance(value, dict):
        raise InvalidJSON("The body must be a JSON object.")
    return value


def _marks(data: bytes) -> bytes:
    """The brackets and commas outside of strings; raises InvalidJSON where there are too many strings."""
    # Escaped quotes are in strings. Each value is at most one string, and may have another as its key.
    if data.count(b'"') - data.count(b'\\"') > 4 * (MAX_VALUES + 1):
        raise _too_many()
    return STRING.sub(b"", data).translate(None, delete=NO_MARKS)


def _too_many() -> InvalidJSON:
    return InvalidJSON(f"The body has more than {MAX_VALUES} values. Send larger data as text.")


def _check_depth(marks: bytes) -> None:
    """Raises InvalidJSON for brackets that are nested deeper than MAX_DEPTH; it counts without recursion."""
    brackets = marks.translate(AS_SQUARE, delete=NO_BRACKETS)
    # In ASCII "[" is one before "\\" and "]" one after it, so each bracket counts as 1 or -1.
    if max(accumulate(map(ord("\\").__sub__, brackets)), default=0) > MAX_DEPTH:
        raise InvalidJSON(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJSON(f"{name} is not a JSON number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidJSON(f"The number {digits[:40]} is too large.")
    return number


def _small_integer(digits: str) -> int:
    # Digits are counted first, because int() is slow for thousands of digits, or raises another error.
    if len(digits) > 20 or not -MAX_INTEGER <= (number := int(digits)) < MAX_INTEGER:
        raise InvalidJSON(f"The integer {digits[:40]} does not fit into 64 bits.")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidJSON("An object has the same key twice.")
    return result


def _check_values(value: Any) -> None:
    if isinstance(value, str):
        _check_string(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_string(key)
            _check_values(inner)
    elif isinstance(value, list):
        if len(value) > MAX_LIST_ITEMS:
            raise InvalidJSON(f"A list has more than {MAX_LIST_ITEMS} items.")
        for inner in value:
            _check_values(inner)


def _check_string(value: str) -> None:
    if UNSTORABLE.search(value):
        raise InvalidJSON("A string contains U+0000 or a lone surrogate.")
