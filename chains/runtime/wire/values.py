"""Encodes values as plain JSON data, to send or to store them."""

import dataclasses
import datetime
import enum
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from langchain_core.prompt_values import ChatPromptValue
from pydantic import BaseModel

# U+0000 cannot be stored in a JSON column of PostgreSQL; lone surrogates cannot be encoded as UTF-8.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


# Python refuses to convert longer integers to text.
MAX_INTEGER_BITS = 14_000


def encode(value: Any, *, unknown: Callable[[Any], Any] | None = None) -> Any:
    """Encode ``value`` as plain JSON data; an object becomes its plain fields, with its kind in ``type``.

    NaN becomes null, times and ids become strings, U+0000 and lone surrogates become U+FFFD. A value without
    a JSON form (bytes, sets, arbitrary objects) raises TypeError. With ``unknown`` it becomes what that
    returns instead, and a key that is not text becomes text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= MAX_INTEGER_BITS:
        return value
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, BaseModel):
        # The only value of LangChain's without ``type``; clients could not decode it.
        kind = {"type": "ChatPromptValueConcrete"} if type(value) is ChatPromptValue else {}
        return encode(value.model_dump() | kind, unknown=unknown)
    if isinstance(value, Mapping):
        return {
            _key(key, lenient=unknown is not None): encode(inner, unknown=unknown)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [encode(inner, unknown=unknown) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, enum.Enum):
        return encode(value.value, unknown=unknown)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, unknown=unknown)
    if unknown is not None:
        return unknown(value)
    raise TypeError(f"A value of type {type(value).__name__} has no JSON form.")


def _key(key: Any, *, lenient: bool) -> str:
    if not isinstance(key, str) and not lenient:
        raise TypeError(f"A key of type {type(key).__name__} has no JSON form.")
    return UNSTORABLE.sub("\ufffd", str(key))


def shortened(text: str, most: int) -> str:
    """The text, or the beginning of one that is too long, with a mark at its end."""
    return text if len(text) <= most else text[: most - 1] + "…"


def add(left: Any, right: Any) -> Any:
    """Add two pieces of a stream, as LangChain does; returns ``right`` where they cannot be added."""
    try:
        return left + right
    except TypeError:
        return right
