"""How a run's figures read on a page."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

EXCERPT_CHARACTERS = 140
NONE = "\N{EN DASH}"
UNKNOWN = "unknown"


def duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return NONE
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    return f"{milliseconds / 1000:.2f} s"


def cost(usd: Decimal | None) -> str:
    """Dollars without trailing zeros. A price nobody knows is not zero."""
    if usd is None:
        return UNKNOWN
    text = f"{usd:f}"
    return f"${text.rstrip('0').rstrip('.') if '.' in text else text}"


def tokens(input_tokens: int | None, output_tokens: int | None) -> str:
    if input_tokens is None and output_tokens is None:
        return UNKNOWN
    shown = (UNKNOWN if count is None else f"{count:,}" for count in (input_tokens, output_tokens))
    return "{} in, {} out".format(*shown)


def as_text(value: Any) -> str:
    """A text as it is, a message by its content, anything else as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "type" in value and isinstance(value.get("content"), str):
        return str(value["content"])
    return as_json(value)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def excerpt(chain_input: Any) -> str:
    """One line that tells inputs apart: the longest text in it."""
    text = max(texts(chain_input), key=len, default="")
    line = " ".join((text or json.dumps(chain_input, ensure_ascii=False)).split())
    if len(line) > EXCERPT_CHARACTERS:
        line = line[: EXCERPT_CHARACTERS - 1] + "…"
    return line


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "type":
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
