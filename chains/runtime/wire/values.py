"""Values as plain data, as they cross a wire or are stored: our own encoding."""

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

# What no JSON text column keeps (U+0000 on Postgres) and no UTF-8 carries (lone surrogates).
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


# Python writes no longer integers as text.
MAX_INTEGER_BITS = 14_000


def encode(value: Any, *, unknown: Callable[[Any], Any] | None = None) -> Any:
    """``value`` as plain JSON data; an object becomes its plain fields, discriminated by ``type``.

    NaN becomes null, times and ids become strings, U+0000 and lone surrogates become U+FFFD.
    What has no such form (bytes, sets, arbitrary objects) raises TypeError, or becomes what
    ``unknown`` makes of it; a key that is no text then becomes text.
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
        # The one value of LangChain's that does not say what it is: clients could not read it back.
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


def add(left: Any, right: Any) -> Any:
    """Two pieces of a stream as one, as LangChain adds them; what does not add up is replaced."""
    try:
        return left + right
    except TypeError:
        return right
