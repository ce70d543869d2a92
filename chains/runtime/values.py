"""Values as they cross a wire: our own encoding, and the few types that a caller may send.

Nothing here revives objects from data by a name found in the data.
"""

import dataclasses
import datetime
import enum
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel

# What no JSON text column keeps (U+0000 on Postgres) and no UTF-8 carries (lone surrogates).
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

MESSAGE_TYPES: Mapping[str, type[BaseMessage]] = {"human": HumanMessage, "ai": AIMessage}


def encode(value: Any) -> Any:
    """``value`` as plain JSON data; an object becomes its plain fields, discriminated by ``type``.

    NaN becomes null, times and ids become strings, U+0000 and lone surrogates become U+FFFD.
    Raises TypeError for what has no such form (bytes, sets, arbitrary objects).
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return UNSTORABLE.sub("�", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, BaseModel):
        return encode(value.model_dump())
    if isinstance(value, Mapping):
        return {_key(key): encode(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encode(inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    raise TypeError(f"A value of type {type(value).__name__} has no JSON form.")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"A key of type {type(key).__name__} has no JSON form.")
    return UNSTORABLE.sub("�", key)


def decode_messages(items: Sequence[Mapping[str, Any]]) -> list[BaseMessage]:
    """``[{"type": "human" | "ai", "content": str}, ...]`` as messages; other fields are dropped."""
    return [MESSAGE_TYPES[item["type"]](content=item["content"]) for item in items]
