"""Tests a provider with a few short calls, and suggests the names of its models."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from asgiref.sync import async_to_sync
from django.conf import settings
from langchain_core.messages import HumanMessage

from chains.actions import habits, wording
from chains.models import Provider
from chains.runtime import errors
from chains.runtime.context import Backoff, ModelCall, RunContext, Taught
from chains.runtime.errors import Told
from chains.runtime.events import Event
from chains.runtime.providers import build_model, load_kinds
from chains.runtime.providers.calls import GuardedModel
from chains.runtime.providers.habits import SETTINGS, Habits
from chains.runtime.providers.listing import MAX_MODELS, models_of
from chains.runtime.providers.reach import ModelParams, PlanTarget
from concurrency.database import borrowed_connection
from concurrency.kept import MODELS_KEPT_S, Kept

CALL_S = 10.0
TRIAL_S = 20.0
SUGGEST_S = 5.0
FIRST_NAMES = 5

PING = "Answer with one word: hello."
# Enough for a word, and more than the least that providers accept.
PING_TOKENS = 32
SCHEMA_PING = "Which word greets people? Answer with one word."
SCHEMA_TOKENS = 200
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}
SILENT = (errors.ProviderTimeout, errors.ProviderUnreachable)
# After one of these, further calls would fail alike.
HOPELESS = (*SILENT, errors.InvalidSpec, errors.ProviderAuthFailed, errors.ProviderRateLimited)
NOT_TRIED = "Not tried, because of the failure above."


@dataclass(frozen=True, kw_only=True)
class Check:
    """What the trial found about one thing. A failure has its ``code``, and what the provider ``told``."""

    name: str
    state: Literal["works", "fails", "unknown"]
    text: str
    code: str = ""
    told: Told | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The result of a test. ``models`` are the names that the provider lists."""

    model: str
    checks: tuple[Check, ...]
    learned: tuple[Taught, ...]
    models: tuple[str, ...]


def try_out(provider: Provider, model: str) -> Trial:
    """Call the provider as runs do, and note what its refusals teach. Takes TRIAL_S at most; is no run.

    The calls are made in the server's event loop, while the thread of this function waits.
    """
    with borrowed_connection():
        load_kinds([provider.kind])
        target = _target(provider, model)
    trial = async_to_sync(_Tester(target).run)()
    for taught in trial.learned:
        habits.note(taught)
    return trial


def _target(provider: Provider, model: str) -> PlanTarget:
    """The target as plans have it, with time limits of the test; a provider that is off is tested too."""
    config = provider.to_config()
    limits = {name: min(getattr(config, name), CALL_S) for name in ("first_token_s", "chunk_s", "answer_s")}
    learned = habits.learned_of([provider]).get((provider.slug, model), {})
    return PlanTarget(provider=replace(config, **limits), model=model, learned=learned)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """How one call ended; ``call`` is ``None`` where there was none."""

    text: str = ""
    call: ModelCall | None = None
    error: errors.ChainHubError | None = None

    @property
    def told(self) -> Told | None:
        return self.call.tries[-1].told if self.call and self.call.tries else None

    @property
    def ms(self) -> int:
        return self.call.tries[-1].ms if self.call and self.call.tries else 0


@dataclass
class _Tester:
    target: PlanTarget
    checks: list[Check] = field(default_factory=list)
    learned: list[Taught] = field(default_factory=list)
    models: Sequence[str] = ()
    is_hopeless: bool = False
    reached_ms: int | None = None

    async def run(self) -> Trial:
        self._ends = time.monotonic() + TRIAL_S
        listed = await self._list()
        whole = await self._call(PING, max_tokens=PING_TOKENS)
        streamed = await self._call(PING, max_tokens=PING_TOKENS, streaming=True)
        fitting = await self._call(SCHEMA_PING, max_tokens=SCHEMA_TOKENS, json_schema=SCHEMA)
        checks = (
            self._reached(listed, whole),
            self._key(listed, whole, streamed),
            listed,
            _checked("Whole answers", whole, self._whole_text),
            _checked("Streams", streamed, self._stream_text),
            _usage(whole, streamed),
            self._schema(fitting),
        )
        return Trial(
            model=self.target.model, checks=checks, learned=tuple(self.learned), models=tuple(self.models)
        )

    # --- Calls ---------------------------------------------------------------------------------

    async def _list(self) -> Check:
        began = time.monotonic()
        try:
            names = await models_of(self.target.provider, within_s=CALL_S)
        except errors.ProviderError as error:
            self._note(error, began)
            # Some providers show the list to nobody, or not with this key, and answer calls.
            self.is_hopeless = isinstance(error, SILENT)
            return _failed("Models", error, error.told)
        if names is None:
            return Check(name="Models", state="unknown", text="This kind of provider cannot list its models.")
        self._note(None, began)
        self.models = names
        return Check(name="Models", state="works", text=_names_text(names, self.target.model))

    async def _call(self, text: str, *, streaming: bool = False, **params: Any) -> _Outcome:
        if self.is_hopeless:
            return _Outcome()
        began = time.monotonic()
        context = RunContext(
            emit=_nowhere,
            deadline=began + CALL_S,
            backoff=Backoff(first_s=settings.PROVIDER_BACKOFF_SECONDS),
        )
        model = GuardedModel(targets=(self.target,), params=ModelParams(name="answer", **params))
        said = ""
        error: errors.ChainHubError | None = None
        try:
            async with asyncio.timeout_at(_loop_time(min(began + CALL_S, self._ends))):
                answers = model.answers("test", [HumanMessage(text)], context, streaming=streaming)
                async with aclosing(answers) as pieces:
                    async for some in pieces:
                        said += "".join(piece.text for piece in some)
        except TimeoutError:
            error = errors.ProviderTimeout()
        except errors.ChainHubError as failure:
            error = failure
        outcome = _Outcome(text=said, call=next(iter(context.calls), None), error=error)
        self._note(error, began)
        self._learn(context.lessons)
        return outcome

    def _note(self, error: errors.ChainHubError | None, began: float) -> None:
        self.is_hopeless = isinstance(error, HOPELESS)
        was_reached = not isinstance(error, (*SILENT, errors.InvalidSpec, errors.ProviderBusy))
        if self.reached_ms is None and was_reached:
            self.reached_ms = round((time.monotonic() - began) * 1000)

    def _learn(self, lessons: Sequence[Taught]) -> None:
        """The calls that follow ask in the way that this one has found."""
        self.learned += lessons
        known = dict(self.target.learned) | {each.habit: each.value for each in lessons}
        learned = {habit: value for habit, value in known.items() if value is not None}
        self.target = replace(self.target, learned=learned)

    @property
    def _habits(self) -> Habits:
        model = build_model(self.target, ModelParams(name="answer"))
        return model.habits or Habits()

    # --- What they say -------------------------------------------------------------------------

    def _reached(self, listed: Check, whole: _Outcome) -> Check:
        if self.reached_ms is not None:
            text = f"The provider answered in {wording.duration(self.reached_ms)}."
            return Check(name="Reached", state="works", text=text)
        if whole.error is not None:
            return _failed("Reached", whole.error)
        return Check(name="Reached", state="fails", text=listed.text, code=listed.code)

    def _key(self, listed: Check, *outcomes: _Outcome) -> Check:
        answered = any(outcome.call and outcome.error is None for outcome in outcomes)
        if answered or (listed.state == "works" and not outcomes[0].error):
            has_key = bool(self.target.provider.api_key.get_secret_value())
            text = (
                "The provider accepted it." if has_key else "None is stored, and the provider asked for none."
            )
            return Check(name="Key", state="works", text=text)
        for outcome in outcomes:
            if isinstance(outcome.error, errors.ProviderAuthFailed):
                return _failed("Key", outcome.error, outcome.told)
        if listed.code == errors.ProviderAuthFailed.code:
            return replace(listed, name="Key")
        return Check(name="Key", state="unknown", text="No call was answered, so this is not known.")

    def _whole_text(self, outcome: _Outcome) -> str:
        taken = f"An answer came in {wording.duration(outcome.ms)}."
        if self._habits.streaming == "only":
            taken += " The provider only streams; ChainHub puts whole answers together."
        return taken

    def _stream_text(self, outcome: _Outcome) -> str:
        if self._habits.streaming == "never":
            return "The provider does not stream. ChainHub asks it for whole answers instead."
        first = outcome.call.tries[-1].first_ms if outcome.call and outcome.call.tries else None
        if first is None:
            return f"The answer ended after {wording.duration(outcome.ms)}, and had no text."
        return f"The first token came after {wording.duration(first)}."

    def _schema(self, outcome: _Outcome) -> Check:
        check = _checked("JSON Schema", outcome, lambda _: "")
        if check.state != "works":
            return check
        way = SETTINGS["json_schema"][self._habits.json_schema]
        if _fits(outcome.text):
            return replace(check, text=f"The answer fits. It was asked for in this way: {way}.")
        if outcome.call and outcome.call.finish_reason == "length":
            text = f"The answer was not complete after {SCHEMA_TOKENS} tokens, so this is not known ({way})."
            return replace(check, state="unknown", text=text)
        return replace(
            check,
            state="fails",
            text=f"The provider accepted the schema, but its answer does not fit ({way}).",
        )


async def _nowhere(event: Event) -> None:
    """Nobody reads the events of a test."""


def _loop_time(moment: float) -> float:
    return asyncio.get_running_loop().time() + moment - time.monotonic()


def _checked(name: str, outcome: _Outcome, text_of: Any) -> Check:
    if outcome.error is not None:
        return _failed(name, outcome.error, outcome.told)
    if outcome.call is None:
        return Check(name=name, state="unknown", text=NOT_TRIED)
    return Check(name=name, state="works", text=text_of(outcome))


def _failed(name: str, error: errors.ChainHubError, told: Told | None = None) -> Check:
    return Check(name=name, state="fails", text=str(error), code=error.code, told=told)


def _names_text(names: Sequence[str], model: str) -> str:
    if not names:
        return "The provider lists none."
    count = f"{len(names)} or more" if len(names) >= MAX_MODELS else str(len(names))
    first = ", ".join(names[:FIRST_NAMES]) + (" …" if len(names) > FIRST_NAMES else "")
    missing = "" if model in names or len(names) >= MAX_MODELS else f" {model!r} is not one of them."
    return f"{count} found: {first}{'' if first.endswith('…') else '.'}{missing}"


def _usage(whole: _Outcome, streamed: _Outcome) -> Check:
    told = {
        name: outcome.call.usage is not None
        for name, outcome in (("whole", whole), ("streamed", streamed))
        if outcome.call and outcome.error is None
    }
    if not told:
        return Check(name="Token counts", state="unknown", text="No call was answered, so this is not known.")
    if all(told.values()):
        return Check(name="Token counts", state="works", text=f"Given with {' and '.join(told)} answers.")
    without = " and ".join(name for name, given in told.items() if not given)
    text = f"Not given with {without} answers: runs then have no tokens and no cost."
    return Check(name="Token counts", state="fails", text=text)


def _fits(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and set(value) == {"word"} and isinstance(value["word"], str)


# --- Suggestions -------------------------------------------------------------------------------

_listed: Kept[list[str]] = Kept(keep_s=MODELS_KEPT_S, most=256)


def suggested_models(provider: Provider) -> list[str]:
    """The names of models to choose from: those with a price, and those that the provider lists.

    The list is kept for a minute. A provider that does not tell it has an empty one.
    """
    with borrowed_connection():
        load_kinds([provider.kind])
        priced = list(provider.prices.values_list("model", flat=True).distinct())
    # A provider that was changed meanwhile is asked again.
    listed = async_to_sync(_listed.get)((provider.pk, provider.updated_at), lambda: _list(provider))
    return list(dict.fromkeys([*sorted(priced), *listed]))[:MAX_MODELS]


async def _list(provider: Provider) -> list[str]:
    try:
        return await models_of(provider.to_config(), within_s=SUGGEST_S) or []
    except errors.ProviderError:
        return []
