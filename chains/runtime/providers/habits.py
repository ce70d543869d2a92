"""What providers accept and refuse: as a provider's record says it, and as their refusals teach it.

A provider's record has a setting for each habit, ``auto`` by default. ``auto`` sends what OpenAI's newest API
takes; what refusals have taught since (``providers.lessons``) goes before it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

AUTO = "auto"
NEVER = "never"

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "usage_in_streams": {"always": "Ask for it", NEVER: "Never ask"},
    "streaming": {"yes": "Stream and whole", "only": "Only streams", NEVER: "Never streams"},
    "token_limit": {"max_tokens": "max_tokens", "max_completion_tokens": "max_completion_tokens"},
    "sampling": {"send": "Send them", "leave_out": "Leave them out"},
    "json_schema": {
        "json_schema": "response_format: json_schema",
        "json_object": "response_format: json_object, schema in the prompt",
        "tool": "By a tool",
    },
    "api": {"chat_completions": "/chat/completions", "responses": "/responses"},
}
"""The habits, and for each the values that a record may have besides ``auto``, with their labels."""

SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "stop", "verbosity"}
    | {"reasoning_effort", "service_tier"}
)
"""Parameters without which an answer is still an answer; a refused one is left out."""

UNUSED_BY_REASONING = frozenset({"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty"})
"""What reasoning models do without, where a record says so."""

LEFT_OUT = "left out"
# Models that think before they answer, by the names that providers give them.
REASONING_MODEL = re.compile(r"(^|/)(o[1-9]\b|gpt-5)|reason|think|\bqwq|deepseek-r\d", re.IGNORECASE)
OPENAI_HOSTS = re.compile(r"(^|\.)openai\.com$")
# Azure under all its suffixes.
AZURE_HOSTS = re.compile(
    r"(^|\.)(openai\.azure\.(com|us|cn)|cognitiveservices\.azure\.(com|us|cn)|services\.ai\.azure\.com)$"
)


def schema_in_prompt(schema: Mapping[str, Any]) -> str:
    """What asks for JSON where nothing but the prompt can."""
    asks = "Answer with one JSON object and nothing else. It must fit this JSON Schema:"
    return f"{asks}\n{json.dumps(schema, ensure_ascii=False)}"


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How to ask one model of a provider. ``left_out`` names parameters that are not sent."""

    usage_in_streams: bool = True
    streaming: Literal["yes", "only", "never"] = "yes"
    token_limit: str = "max_tokens"  # noqa: S105 the name of a parameter
    json_schema: str = "json_schema"
    api: str = "chat_completions"
    left_out: frozenset[str] = frozenset()


def habits_of(
    settings: Mapping[str, str],
    learned: Mapping[str, str],
    *,
    base_url: str,
    model: str,
    token_limit: str = "",
) -> Habits:
    """The habits as a record's ``settings`` have them; ``learned`` counts where a setting is ``auto``.

    ``token_limit`` is the usual name of that parameter, where the address does not tell it.
    """

    def value(name: str, usual: str) -> str:
        told = settings.get(name, AUTO)
        told = learned.get(name, usual) if told == AUTO else told
        # The database may hold a value of another version.
        return told if told in SETTINGS[name] else usual

    host = urlsplit(base_url).hostname or ""
    takes_newer_name = OPENAI_HOSTS.search(host) or AZURE_HOSTS.search(host)
    usual_limit = token_limit or ("max_completion_tokens" if takes_newer_name else "max_tokens")
    left_out = {name for name, taught in learned.items() if taught == LEFT_OUT}
    sampling = settings.get("sampling", AUTO)
    if sampling == "send":
        left_out = set()
    elif sampling == "leave_out" and REASONING_MODEL.search(model):
        left_out |= UNUSED_BY_REASONING
    return Habits(
        usage_in_streams=value("usage_in_streams", "always") != NEVER,
        streaming=value("streaming", "yes"),  # type: ignore[arg-type]
        token_limit=value("token_limit", usual_limit),
        json_schema=value("json_schema", "json_schema"),
        api=value("api", "chat_completions"),
        left_out=frozenset(left_out),
    )
