"""What providers accept and refuse: as a provider's record says it, and as their refusals teach it.

A provider's record has a setting for each habit, ``auto`` by default. ``auto`` sends what OpenAI's newest API
takes. A refusal that names a part of the request is a lesson: the request is sent once more in another way,
and the lesson is kept for this provider and model.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from chains.runtime.errors import Told

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


# --- Lessons -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a refusal teaches: the habit's new ``value``, ``None`` where what was learned is wrong."""

    habit: str
    value: str | None
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A refused request: what it ``asked`` for, the ``habits`` it followed, and whether it was ``streaming``.

    ``asked`` has the names of the parameters, and ``json_schema`` where the answer has to fit one.
    """

    words: str
    param: str
    status: int | None
    asked: frozenset[str]
    habits: Habits
    streaming: bool

    @classmethod
    def by(cls, told: Told, **request: Any) -> "Refused":
        words = f"{told.param} {told.code} {told.message}"
        return cls(words=words, param=told.param, status=told.status, **request)

    def names(self, *names: str) -> bool:
        """Whether the refusal names one of these parameters."""
        return self.param in names or any(
            re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", self.words, re.IGNORECASE) for name in names
        )

    def leaves_out(self, name: str) -> bool:
        """Whether the refusal says that this parameter is not taken.

        Many of these names are plain words, and a refusal may quote the prompt.
        """
        if self.param:
            return self.param == name or self.param.endswith(f".{name}")
        mentioned = rf"[`'\"]{name}[`'\"]|{MENTIONS}:? {name}\b|\b{name}{IS_MENTIONED}"
        return bool(NOT_TAKEN.search(self.words) and re.search(mentioned, self.words, re.IGNORECASE))

    @property
    def is_of_a_value(self) -> bool:
        """Whether not the parameter is refused but its value, which only its author can mend."""
        return bool(OF_A_VALUE.search(self.words)) and not NOT_TAKEN.search(self.words)


MENTIONS = r"\b(parameters?|arguments?|fields?|options?|property|supports?|invalid|unknown|unsupported)"
IS_MENTIONED = r"(:|,| parameter| (is|are|was|cannot|can't|does|has)\b| not\b)"
NOT_TAKEN = re.compile(
    r"un(supported|known|recogni[sz]ed|expected)"
    r"|not (yet )?(supported|permitted|allowed|recogni[sz]ed|accepted)"
    r"|n[o']t (support|accept|allow|take)|forbidden|extra (inputs|fields)|deprecated|only the default"
    r"|cannot (both )?be (used|set|specified)|only [\w.]+ is allowed",
    re.IGNORECASE,
)
OF_A_VALUE = re.compile(
    r"\bbetween\b|\brange\b|(less|greater|more|lower|higher) than|\bat (most|least)\b|\b(min|max)imum\b"
    r"|too (large|small|high|low|big|many)|exceed|[<>≤≥]|must be (an?|in|one of|positive)\b"
    r"|valid (number|integer)",
    re.IGNORECASE,
)
# What a provider refuses to answer; it says nothing of how to ask.
OF_THE_CONTENT = re.compile(r"moderation|flagged|content[ _](policy|filter|management)|safety", re.IGNORECASE)
# The schema itself is wrong; no other way to ask for it would mend that.
WRONG_SCHEMA = re.compile(r"invalid (json )?schema", re.IGNORECASE)
STREAM = re.compile(r"\bstream(s|ed|ing)?\b")
# A refusal for now: it says nothing of what the provider can do.
PASSING = re.compile(
    r"\berror (in|while|during)\b|\bfail(ed|ure|s)\b|temporar|overload|try again|\bservice\b|interrupted"
    r"|timed? ?out"
)
# A refusal that merely mentions a stream, such as one that broke, is no reason never to stream again.
NO_STREAMS = re.compile(
    r"stream.{0,40}(not (yet |currently )?(supported|allowed|available|enabled|possible|permitted)"
    r"|unsupported|disabled|false)"
    r"|(not support|does ?n[o']t support|cannot|can't|unsupported|disallow|verified to).{0,40}stream"
)
ONLY_STREAMS = re.compile(
    r"non[- ]?stream|(only|must|requires?|set).{0,40}stream|stream.{0,30}(must|required)"
)
RESPONSES_ONLY = re.compile(r"(only|use|with|in|try).{0,60}/?v1/responses|responses api", re.IGNORECASE)
FORGET = ""
"""What a teacher returns where no way is left: what was learned is wrong."""
SCHEMA_MODES = ("json_schema", "json_object", "tool")


def lesson(
    told: Told, refused: Refused, *, settings: Mapping[str, str], learned: Mapping[str, str]
) -> Lesson | None:
    """What a refusal teaches; ``None`` where it names nothing that may be sent in another way."""
    if OF_THE_CONTENT.search(refused.words):
        return None
    for habit, teaches in TEACHERS.items():
        if settings.get(habit, AUTO) == AUTO and (value := teaches(refused)) is not None:
            if not value and habit not in learned:
                return None
            return Lesson(habit=habit, value=value or None, refusal=told.message)
    if settings.get("sampling", AUTO) != AUTO or refused.is_of_a_value:
        return None
    for name in sorted((SAMPLING & refused.asked) - refused.habits.left_out):
        if refused.leaves_out(name):
            return Lesson(habit=name, value=LEFT_OUT, refusal=told.message)
    return None


def _usage(refused: Refused) -> str | None:
    asks = refused.streaming and refused.habits.usage_in_streams
    return NEVER if asks and refused.names("stream_options", "include_usage") else None


def _token_limit(refused: Refused) -> str | None:
    name = refused.habits.token_limit
    other = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
    is_named = "max_tokens" in refused.asked and refused.names(name) and not refused.is_of_a_value
    return other if is_named and (NOT_TAKEN.search(refused.words) or refused.names(other)) else None


def _json_schema(refused: Refused) -> str | None:
    mode = refused.habits.json_schema
    named = refused.names(
        *("response_format", "json_schema", "json_object", "text.format"),
        *("structured output", "structured outputs", "structured_outputs", "guided decoding", "guided_json"),
        # Of Anthropic.
        *("output_config.format", "output_config:", "output_format", "output format"),
    )
    if mode == "tool":
        named = refused.names("tools", "tool_choice")
    if not named or "json_schema" not in refused.asked or WRONG_SCHEMA.search(refused.words):
        return None
    rest = SCHEMA_MODES[SCHEMA_MODES.index(mode) + 1 :]
    return rest[0] if rest else FORGET


def _api(refused: Refused) -> str | None:
    if refused.habits.api == "responses":
        # The address is gone, or never was there.
        return "chat_completions" if refused.status == 404 else None
    return "responses" if RESPONSES_ONLY.search(refused.words) else None


def _streaming(refused: Refused) -> str | None:
    words = refused.words.lower()
    if not STREAM.search(words):
        return None
    if refused.streaming:
        says_no = NO_STREAMS.search(words) and not PASSING.search(words)
        if not says_no and refused.param != "stream":
            return None
        return FORGET if refused.habits.streaming == "only" else NEVER
    return "only" if ONLY_STREAMS.search(words) else None


TEACHERS: Mapping[str, Callable[[Refused], str | None]] = {
    "usage_in_streams": _usage,
    "token_limit": _token_limit,
    "json_schema": _json_schema,
    "api": _api,
    "streaming": _streaming,
}


def applied(learned: Mapping[str, str], taught: Lesson) -> dict[str, str]:
    """What is known after the lesson."""
    others = {habit: value for habit, value in learned.items() if habit != taught.habit}
    return others if taught.value is None else {**others, taught.habit: taught.value}
