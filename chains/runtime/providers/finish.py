"""Why an answer ended: OpenAI's words for it, from those of any provider."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from chains.runtime.errors import ProviderFailed
from chains.runtime.wire.values import encode

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

# What a provider reports about its answer is limited to what a Run row can store.
MAX_FINISH_REASON_CHARS = 64

WORDS: Mapping[str, Any] = {
    word: meaning
    for meaning, words in {
        "stop": "stop stopped end_turn eos eos_token stop_sequence stop_token end_id complete completed done",
        "length": "length max_tokens max_output_tokens model_length",
        "tool_calls": "tool_calls tool_call function_call tool_use",
        "content_filter": "content_filter content_filtered refusal sensitive safety language spii",
    }.items()
    for word in words.split()
}
# Parts of words that are not known, in the order in which they count: a filter's word may name what it held
# back. ``None``: the provider broke its answer off.
PARTS: tuple[tuple[re.Pattern[str], FinishReason | None], ...] = (
    (
        re.compile(r"filter|safety|prohibit|refus|recitation|block|guardrail|moderat|policy|toxic"),
        "content_filter",
    ),
    (re.compile(r"malformed|unexpected_tool|too_many_tool|invalid|rate_limit|quota"), None),
    (re.compile(r"max_|_max|length|trunc|token|context|limit|incomplete"), "length"),
    (
        re.compile(
            r"error|fail|abort|cancel|timed?_?out|insufficient|overload|unavailable|interrupt|exception|preempt"
            r"|die[sd]|crash|kill"
        ),
        None,
    ),
    (re.compile(r"tool|function_call"), "tool_calls"),
)
# What stands for no finish reason.
NO_REASON = ("", "null", "none")


def finish_word(reason: Any) -> str:
    """A provider's word, as far as a Run row can store it; "" where the value is none."""
    if isinstance(reason, dict):
        # SGLang tells it with what belongs to it.
        reason = reason.get("type")
    if isinstance(reason, bool | dict | list) or str(reason or "").strip().lower() in NO_REASON:
        return ""
    return str(encode(str(reason)))[:MAX_FINISH_REASON_CHARS]


@lru_cache(maxsize=256)
def meaning_of(word: str) -> FinishReason | None:
    """OpenAI's word for a provider's finish reason; an unknown word is a ``stop``.

    ``None`` for a word that says that the answer is broken off.
    """
    # Some servers write the name of an enum, or an explanation behind a colon.
    bare = word.partition(":")[0].rpartition(".")[2].strip().lower()
    bare = bare.replace("-", "_").replace(" ", "_")
    if known := WORDS.get(bare):
        meaning: FinishReason = known
        return meaning
    return next((meaning for part, meaning in PARTS if part.search(bare)), "stop")


def finish_reason_of(word: str) -> FinishReason:
    """As ``meaning_of``; raises ProviderFailed where the answer is broken off."""
    if meaning := meaning_of(word):
        return meaning
    raise ProviderFailed("The model provider broke its answer off.")
