"""The test of a provider: a list of its models, and a few short calls."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from langchain_core.messages import HumanMessage

from chains.actions import habits
from chains.actions.providers import findings
from chains.actions.providers.findings import Check, Outcome
from chains.models import Provider
from chains.runtime import errors
from chains.runtime.context import Backoff, RunContext, Taught
from chains.runtime.events import Event
from chains.runtime.providers import build_model, load_kinds
from chains.runtime.providers.calls import GuardedModel
from chains.runtime.providers.habits import Habits
from chains.runtime.providers.listing import models_of
from chains.runtime.providers.reach import ModelParams, PlanTarget
from concurrency.database import borrowed_connection

CALL_S = 10.0
TRIAL_S = 20.0

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
    learned = dict(provider.learned.filter(model=model).values_list("habit", "value"))
    return PlanTarget(provider=replace(config, **limits), model=model, learned=learned)


# What servers without a list of models answer.
NO_LIST = (404, 405, 501)


@dataclass
class _Tester:
    target: PlanTarget
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
        return Trial(
            model=self.target.model,
            checks=(
                findings.reached(self.reached_ms, listed, whole),
                findings.key(self.target.provider, listed, whole, streamed),
                listed,
                findings.whole(whole, self._habits_with()),
                findings.streamed(streamed, self._habits_with()),
                findings.usage(whole, streamed),
                findings.schema(fitting, self._habits_with(json_schema=SCHEMA), most=SCHEMA_TOKENS),
            ),
            learned=tuple(self.learned),
            models=tuple(self.models),
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
            if error.told is not None and error.told.status in NO_LIST:
                return Check(name="Models", state="unknown", text="The provider has no list of models.")
            return findings.failed("Models", error, error.told)
        if names is not None:
            # A kind without a list has sent nothing, so nothing is known yet.
            self._note(None, began)
        self.models = names or ()
        return findings.models(names, self.target.model)

    async def _call(self, text: str, *, streaming: bool = False, **params: Any) -> Outcome:
        if self.is_hopeless:
            return Outcome()
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
        outcome = Outcome(text=said, call=next(iter(context.calls), None), error=error)
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

    def _habits_with(self, **params: Any) -> Habits:
        """How the model is asked after what was learned, with these parameters."""
        with suppress(errors.InvalidSpec):
            return build_model(self.target, ModelParams(name="answer", **params)).habits or Habits()
        return Habits()


async def _nowhere(event: Event) -> None:
    """Nobody reads the events of a test."""


def _loop_time(moment: float) -> float:
    return asyncio.get_running_loop().time() + moment - time.monotonic()
