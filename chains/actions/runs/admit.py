"""From what a caller wants to a run that may begin: the chain found, its plan resolved, the input checked."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from langchain_core.runnables import RunnableConfig

from accounts.callers import Caller
from chains.actions.find import Found, find
from chains.actions.runs.workers import worker_id
from chains.models import Run
from chains.runtime import errors
from chains.runtime.names import PRODUCTION
from chains.runtime.plans.base import Input, Plan
from chains.runtime.registry import RequestInfo, personalised
from chains.runtime.running.execution import Mode
from chains.runtime.running.inner import InnerFilter
from chains.runtime.wire.config import CONFIGURABLE, RunConfig, read_config
from chains.runtime.wire.values import encode
from concurrency.database import in_database_thread
from concurrency.kept import PLANS_KEPT_S, Kept
from concurrency.loops import per_loop

# By a run's source: the endpoint that a chain may switch off, and what is told while the run goes.
BY_SOURCE: Mapping[str, tuple[str, Mode]] = {
    Run.Source.REST: ("invoke", "whole"),
    Run.Source.BATCH: ("batch", "whole"),
    Run.Source.SSE: ("stream", "stream"),
    Run.Source.EVENTS: ("stream_events", "events"),
    Run.Source.LOG: ("stream_log", "log"),
    Run.Source.WS: ("playground", "stream"),
}
CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-csrftoken"})


@dataclass(frozen=True, kw_only=True)
class RunCall:
    """What a caller wants; ``source`` is one of Run.Source, ``parent_id`` the batch it belongs to.

    ``config`` is as the client sent it. ``headers`` (lower-case names) reach only the code of a chain
    that asks for them.
    """

    slug: str
    ref: str = PRODUCTION
    caller: Caller
    input: Any
    source: str
    config: Any = None
    inner: InnerFilter = field(default_factory=InnerFilter)
    parent_id: UUID | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return BY_SOURCE[self.source][0]

    @property
    def mode(self) -> Mode:
        return BY_SOURCE[self.source][1]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run that may begin; ``config`` is the one for LangChain."""

    call: RunCall
    found: Found
    plan: Plan
    client_config: RunConfig
    input: Input
    config: RunnableConfig

    def run(self) -> Run:
        """The row of a new run, which is not written yet."""
        call, plan, config = self.call, self.plan, self.client_config
        return Run(
            id=config.run_id or uuid.uuid4(),
            parent_id=call.parent_id,
            # By their ids: to give Django the objects costs as much as all the rest.
            chain_id=self.found.chain.pk,
            chain_slug=plan.chain_slug,
            chain_version_id=self.found.version.pk if self.found.version else None,
            chain_version_number=plan.version,
            package=plan.package,
            prompt_versions=dict(plan.prompts),
            plan_digest=plan.digest,
            user_id=call.caller.user.pk,
            key_id=call.caller.key.pk if call.caller.key else None,
            source=call.source,
            config=_meaningful(config, plan),
            input=self.input.data,
            worker=worker_id(),
        )

    async def personalised(self) -> "Prepared":
        """As the chain's own code wants it for this caller; raises ChainHubError where that fails."""
        entry, call = self.found.entry, self.call
        if entry is None or entry.per_request is None:
            return self
        info = RequestInfo(
            username=call.caller.user.username,
            user_id=call.caller.user.pk,
            key_id=call.caller.key.pk if call.caller.key else None,
            chain=call.slug,
            endpoint=call.endpoint,
            headers={name: text for name, text in call.headers.items() if name not in CREDENTIALS},
        )
        return replace(self, config=await personalised(entry, self.config, info))


def resolve(
    *, slug: str, ref: str = PRODUCTION, user: Any, endpoint: str = "", config: Any = None
) -> tuple[Found, Plan]:
    """What would run; raises ChainNotFound, InvalidSpec, and InvalidInput for the config."""
    found = find(slug=slug, ref=ref, user=user, endpoint=endpoint)
    return found, _plan(found, user, read_config(config, allowed=found.config_keys))


async def prepare(call: RunCall) -> Prepared:
    """All that comes before the provider; raises ChainNotFound, StepsHidden, InvalidSpec, InvalidInput."""
    resolved = await _lately_resolved(call)
    if resolved[0].entry is not None:
        # Its types are the code's own, and may do anything.
        return await in_database_thread(_prepare)(call, *resolved)
    return _prepare(call, *resolved)


Resolved = tuple[Found, RunConfig, Plan]

LONGEST_KEPT_CONFIG = 1000
_kept = per_loop(lambda: Kept[Resolved](keep_s=PLANS_KEPT_S, most=200))


async def _lately_resolved(call: RunCall) -> Resolved:
    config = repr(call.config)
    if len(config) > LONGEST_KEPT_CONFIG:
        return await in_database_thread(_resolved)(call)
    key = call.slug, call.ref, call.caller.user.pk, call.source, config
    return await _kept().get(key, lambda: in_database_thread(_resolved)(call))


def prepare_batch(any_call: RunCall, calls: Sequence[RunCall]) -> list[Prepared | errors.InvalidInput]:
    """The same for calls that differ in input and config only, none of them recorded yet.

    ``any_call`` names the chain, which is looked for even where the batch is empty. What is wrong with
    one call stands in its place, ``loc`` beginning with its index.
    """
    resolved = {repr(any_call.config): _resolved(any_call)}
    prepared: list[Prepared | errors.InvalidInput] = []
    for index, call in enumerate(calls):
        try:
            key = repr(call.config)
            if key not in resolved:
                resolved[key] = _resolved(call)
            prepared.append(_prepare(call, *resolved[key]))
        except errors.InvalidInput as error:
            prepared.append(error.inside(index))
    return prepared


def _resolved(call: RunCall) -> Resolved:
    user = call.caller.user
    found = find(slug=call.slug, ref=call.ref, user=user, endpoint=call.endpoint)
    if call.mode in ("events", "log") and not found.shows_steps_to(user):
        raise errors.StepsHidden()
    config = read_config(call.config, allowed=found.config_keys)
    plan = _plan(found, user, config)
    plan.load()
    return found, config, plan


def _plan(found: Found, user: Any, config: RunConfig) -> Plan:
    try:
        return found.plan(config.configurable)
    except errors.InvalidSpec:
        # What lacks is told to those who can mend it; to others it only names inner parts.
        if user.has_perm("chains.change_chain"):
            raise
        raise errors.InvalidSpec() from None


def _prepare(call: RunCall, found: Found, config: RunConfig, plan: Plan) -> Prepared:
    return Prepared(
        call=call,
        found=found,
        plan=plan,
        client_config=config,
        input=plan.check_input(call.input),
        config=config.for_langchain(configurable=dict(plan.configurable)),
    )


def _meaningful(config: RunConfig, plan: Plan) -> dict[str, Any]:
    """What had a meaning: a name that the chain does not know may hold anything, a credential even."""
    kept = config.model_dump(mode="json", exclude_unset=True, exclude={"run_id", CONFIGURABLE})
    return kept | ({CONFIGURABLE: encode(dict(plan.configurable))} if plan.configurable else {})


def claim_id(run: Run) -> None:
    """Write a row whose id the caller has chosen; raises InvalidInput where it is taken."""
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        if not Run.objects.filter(pk=run.pk).exists():
            raise
        raise errors.InvalidInput.at(
            ["run_id"], "value_error", "Another run has this id", message="The config is not valid."
        ) from None
