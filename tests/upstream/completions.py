"""Chat completions as data, for answers that a test writes byte by byte."""

import json
from typing import Any

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def chunk(delta: Any = None, finish_reason: Any = None, **fields: Any) -> dict[str, Any]:
    """A `chat.completion.chunk`; without a delta where that is ``...``."""
    choice = {"index": 0, "finish_reason": finish_reason} | ({} if delta is ... else {"delta": delta})
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**base, "choices": [choice], **fields}


def texts(*pieces: str) -> list[dict[str, Any]]:
    """The chunks of a text, after the one that names the role."""
    first = chunk({"role": "assistant", "content": ""})
    return [first, *(chunk({"content": piece}) for piece in pieces)]


STOP = chunk({}, "stop")
USED = {**STOP, "choices": [], "usage": USAGE}


def completion(content: Any = "Hello", finish_reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    """A `chat.completion`; ``message`` among the fields replaces the message."""
    message = fields.pop("message", {"role": "assistant", "content": content})
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    base = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE}
    return {**base, "choices": [choice], **fields}


def events(*items: Any, end: bytes = b"\n\n", prefix: bytes = b"data: ", done: bool = True) -> bytes:
    """An event stream: objects become data, bytes stay as they are."""
    parts = [item if isinstance(item, bytes) else prefix + json.dumps(item).encode() + end for item in items]
    return b"".join(parts) + (prefix + b"[DONE]" + end if done else b"")
