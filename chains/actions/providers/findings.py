"""What the test of a provider has found, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from langchain_core.exceptions import OutputParserException

from chains.actions import wording
from chains.runtime import errors
from chains.runtime.context import ModelCall, Try
from chains.runtime.errors import Told
from chains.runtime.providers.habits import NEVER, Habits
from chains.runtime.providers.listing import MAX_MODELS
from chains.runtime.providers.reach import ProviderConfig
from chains.runtime.steps.jsonanswer import parse_json

FIRST_NAMES = 5
# How an answer by a JSON Schema is asked for, whatever the provider's API calls that.
WAYS = {
    "json_schema": "by the provider's own parameter for schemas (json_schema)",
    "json_object": "in the prompt, as any JSON object (json_object)",
    "tool": "by a tool",
}
NOT_TRIED = "Not tried, because of the failure above."
NO_ANSWER = "No call was answered, so this is not known."


@dataclass(frozen=True, kw_only=True)
class Check:
    """What the test found about one thing. A failure has its ``code``, and what the provider ``told``."""

    name: str
    state: Literal["works", "fails", "unknown"]
    text: str
    code: str = ""
    told: Told | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one call ended; ``call`` is ``None`` where there was none."""

    text: str = ""
    call: ModelCall | None = None
    error: errors.ChainHubError | None = None

    @property
    def last(self) -> Try | None:
        return self.call.tries[-1] if self.call and self.call.tries else None

    @property
    def told(self) -> Told | None:
        return self.last.told if self.last else None

    @property
    def time_text(self) -> str:
        return wording.duration(self.last.ms if self.last else None)

    @property
    def was_answered(self) -> bool:
        return self.call is not None and self.error is None


def failed(name: str, error: errors.ChainHubError, told: Told | None = None) -> Check:
    return Check(name=name, state="fails", text=str(error), code=error.code, told=told)


def _checked(name: str, outcome: Outcome, text: str) -> Check:
    """``text`` is for a call that was answered."""
    if outcome.error is not None:
        return failed(name, outcome.error, outcome.told)
    if outcome.call is None:
        return Check(name=name, state="unknown", text=NOT_TRIED)
    if not outcome.text.strip():
        reason = outcome.call.finish_reason
        ends = f" It ended with {reason!r}." if reason not in ("", "stop") else ""
        text = f"The answer had no text, and a chain fails then.{ends}"
        return Check(name=name, state="fails", text=text, code=errors.AnswerEmpty.code)
    return Check(name=name, state="works", text=text)


def reached(after_ms: int | None, listed: Check, whole: Outcome) -> Check:
    if after_ms is not None:
        text = f"The provider answered in {wording.duration(after_ms)}."
        return Check(name="Reached", state="works", text=text)
    return failed("Reached", whole.error) if whole.error else replace(listed, name="Reached")


def key(provider: ProviderConfig, listed: Check, *outcomes: Outcome) -> Check:
    first = outcomes[0]
    if any(outcome.was_answered for outcome in outcomes) or (listed.state == "works" and not first.error):
        text = "None is stored, and the provider asked for none."
        if provider.headers:
            text = "None is stored; the further headers were enough."
        if provider.api_key.get_secret_value():
            text = "The provider accepted it."
        return Check(name="Key", state="works", text=text)
    for outcome in outcomes:
        if isinstance(outcome.error, errors.ProviderAuthFailed):
            return failed("Key", outcome.error, outcome.told)
    if listed.code == errors.ProviderAuthFailed.code:
        return replace(listed, name="Key")
    return Check(name="Key", state="unknown", text=NO_ANSWER)


def models(names: Sequence[str] | None, model: str) -> Check:
    """``names`` is ``None`` where the kind of the provider cannot list them."""
    if names is None:
        return Check(name="Models", state="unknown", text="This kind of provider cannot list its models.")
    if not names:
        return Check(name="Models", state="works", text="The provider lists none.")
    is_whole = len(names) < MAX_MODELS
    count = str(len(names)) if is_whole else f"{len(names)} or more"
    first = ", ".join(names[:FIRST_NAMES]) + (" …" if len(names) > FIRST_NAMES else ".")
    missing = f" {model!r} is not one of them." if is_whole and model not in names else ""
    return Check(name="Models", state="works", text=f"{count} found: {first}{missing}")


def whole(outcome: Outcome, habits: Habits) -> Check:
    text = f"An answer came in {outcome.time_text}."
    if habits.streaming == "only":
        text += " The provider only streams; ChainHub puts whole answers together."
    return _checked("Whole answers", outcome, text)


def streamed(outcome: Outcome, habits: Habits) -> Check:
    first_ms = outcome.last.first_ms if outcome.last else None
    text = f"The first token came after {wording.duration(first_ms)}."
    if habits.streaming == NEVER:
        text = "The provider does not stream. ChainHub asks it for whole answers instead."
    return _checked("Streams", outcome, text)


def usage(whole: Outcome, streamed: Outcome) -> Check:
    name = "Token counts"
    told = {
        word: outcome.call is not None and outcome.call.usage is not None
        for word, outcome in (("whole", whole), ("streamed", streamed))
        if outcome.was_answered
    }
    if not told:
        return Check(name=name, state="unknown", text=NO_ANSWER)
    if all(told.values()):
        return Check(name=name, state="works", text=f"Given with {' and '.join(told)} answers.")
    without = " and ".join(word for word, given in told.items() if not given)
    text = f"Not given with {without} answers: their runs have no tokens and no cost."
    return Check(name=name, state="fails", text=text)


def schema(outcome: Outcome, habits: Habits, *, most: int) -> Check:
    """``most`` is the number of tokens that the answer could have."""
    way = WAYS[habits.json_schema]
    check = _checked("JSON Schema", outcome, f"The answer fits. It was asked for {way}.")
    if check.state != "works" or _fits(outcome.text):
        return check
    if outcome.call and outcome.call.finish_reason == "length":
        text = f"The answer was not complete after {most} tokens, so this is not known (asked for {way})."
        return replace(check, state="unknown", text=text)
    text = f"The provider accepted the schema, but its answer does not fit (asked for {way})."
    return replace(check, state="fails", text=text)


def _fits(text: str) -> bool:
    try:
        value = parse_json(text)
    except OutputParserException:
        return False
    return isinstance(value, dict) and set(value) == {"word"} and isinstance(value["word"], str)
