"""Learns from refusals how a provider wants to be asked.

A refusal that names a part of the request is a lesson: the request is sent once more in another way, and the
lesson is kept for this provider and model.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chains.runtime import errors
from chains.runtime.context import RunContext, Taught
from chains.runtime.errors import Told
from chains.runtime.providers import build_model
from chains.runtime.providers.habits import AUTO, LEFT_OUT, NEVER, SAMPLING, Habits
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget

# Requests that are refused and sent once more in another way; they are not charged, and count as no attempt.
MAX_LESSONS = 6


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a refusal teaches: the habit's new ``value``, ``None`` where what was learned is wrong."""

    habit: str
    value: str | None
    refusal: str = ""


@dataclass(kw_only=True)
class Asking:
    """How one target is asked in a run: its ``model`` follows what refusals have taught so far.

    ``streaming``: the answer is wanted in pieces. ``taught`` counts the requests that taught something.
    """

    target: PlanTarget
    model: ChatModel
    params: ModelParams
    context: RunContext
    streaming: bool
    taught: int = 0
    _lessons: list[Lesson] = field(default_factory=list)
    _doubted: list[Lesson] = field(default_factory=list)

    @property
    def streams(self) -> bool:
        """Whether the answer is asked for in pieces; one that only comes in pieces is put together."""
        habits = self.model.habits
        if habits is None or habits.streaming == "yes":
            return self.streaming
        return habits.streaming == "only"

    def learns(self, error: errors.ProviderError, told: Told | None) -> bool:
        """Whether the refusal teaches how to ask in another way; the next request then does so."""
        habits = self.model.habits
        if (
            told is None
            or habits is None
            or not (isinstance(error, errors.ProviderRefused) or _names_parts(told))
        ):
            return False
        settings, learned = self.target.provider.habits, self.target.learned
        refused = Refused.by(told, asked=self.params.asked, habits=habits, streaming=self.streams)
        taught = lesson(told, refused, settings=settings, learned=learned)
        if taught is None or taught in self._lessons or self.taught >= MAX_LESSONS:
            return False
        if taught.value is None:
            self._lessons = [taught]
            self.keep()
            return False
        self._lessons.append(taught)
        self.taught += 1
        self._ask_by({**learned, taught.habit: taught.value})
        return True

    def doubt(self) -> None:
        """Ask as if nothing had been learned: the provider may have changed, which shows in odd failures.

        What this request does not use is not doubted: its answer would say nothing of it. Neither is the
        address: a wrong one is refused for good, and that teaches the right one.
        """
        used = {"streaming", *({"usage_in_streams"} if self.streams else ()), *self.params.asked}
        used |= {"token_limit"} if "max_tokens" in self.params.asked else set()
        doubted = [habit for habit in self.target.learned if habit in used]
        if self.model.habits is None or not doubted:
            return
        self._doubted = [Lesson(habit=habit, value=None) for habit in doubted]
        self._lessons = [each for each in self._lessons if each.habit not in doubted]
        self._ask_by({habit: v for habit, v in self.target.learned.items() if habit not in doubted})

    def keep(self) -> None:
        """Keep the lessons: an answer has shown that they were right, or a refusal that one is wrong."""
        provider, model = self.target.provider.slug, self.target.model
        self.context.lessons += [
            Taught(provider=provider, model=model, habit=each.habit, value=each.value, refusal=each.refusal)
            for each in (*self._doubted, *self._lessons)
        ]

    def _ask_by(self, learned: Mapping[str, str]) -> None:
        self.target = replace(self.target, learned=learned)
        self.model = build_model(self.target, self.params)


def _names_parts(told: Told) -> bool:
    """Whether an internal error is a refusal in truth: some servers take the parameters as Python's own."""
    return told.status == 501 or "unexpected keyword argument" in told.message


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
