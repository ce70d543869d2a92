"""Admits runs: looks the chain up, checks permission, resolves the plan, validates the input, applies
``per_request``, and last of all reserves the run.

A call that fails here leaves no record, and nothing of it runs.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import IntegrityError, transaction
from langchain_core.runnables import RunnableConfig

from chains.actions.find import Found, find, plan_of
from chains.actions.runs.call import RunCall
from chains.actions.runs.recorder import recorder
from chains.actions.runs.workers import worker_id
from chains.models import Run
from chains.runtime import errors
from chains.runtime.plans.base import Input, Plan
from chains.runtime.registry import RequestInfo, personalised
from chains.runtime.wire.config import CONFIGURABLE, RunConfig, read_config
from chains.runtime.wire.values import encode
from concurrency.database import in_database_thread
from concurrency.kept import PLANS_KEPT_S, Kept
from concurrency.loops import per_loop

logger = logging.getLogger(__name__)

CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-csrftoken"})
LONGEST_KEPT_CONFIG = 1000


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The chain, the config and the plan of a call; they do not depend on its input."""

    found: Found
    client_config: RunConfig
    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A call that passed all checks of what it asks for; nothing is recorded yet."""

    call: RunCall
    resolved: Resolved
    input: Input
    config: RunnableConfig

    @property
    def plan(self) -> Plan:
        return self.resolved.plan


@dataclass(frozen=True, kw_only=True)
class Admitted(Checked):
    """A run that may start, with its row; ``config`` is the config for LangChain."""

    run: Run


async def check(call: RunCall) -> Checked:
    """Raises ChainNotFound, StepsHidden, InvalidSpec, InvalidInput."""
    resolved = await _lately_resolved(call)
    if resolved.found.entry is not None:
        # The types of a code chain may execute any code, so they validate in a thread.
        return await in_database_thread(_checked)(call, resolved)
    return _checked(call, resolved)


@in_database_thread
def check_batch(any_call: RunCall, calls: Sequence[RunCall]) -> list[Checked | errors.InvalidInput]:
    """``check`` for several calls, which differ only in input and config.

    ``any_call`` names the chain, which is looked up even where the batch is empty. The error of a refused
    call is returned at its index; its ``loc`` starts with that index.
    """
    resolved = {repr(any_call.config): _resolved(any_call)}
    checked: list[Checked | errors.InvalidInput] = []
    for index, call in enumerate(calls):
        try:
            key = repr(call.config)
            if key not in resolved:
                resolved[key] = _resolved(call)
            checked.append(_checked(call, resolved[key]))
        except errors.InvalidInput as error:
            checked.append(error.inside(index))
    return checked


async def admit(checked: Checked) -> Admitted:
    """The last checks before the run starts: the code of the chain, then the reservation of the run's row.

    Nothing may fail after the reservation. Raises InvalidInput where the id that the caller has chosen is
    taken, and any ChainHubError of the code of a code chain.
    """
    personal = await _personalised(checked)
    run = _row(personal)
    if personal.resolved.client_config.run_id is None:
        recorder().start(run, streams=personal.call.door.mode != "whole")
    else:
        await in_database_thread(_claim_id)(run)
        recorder().started(run)
    return Admitted(**vars(personal), run=run)


# --- Chain, permission, plan -------------------------------------------------------------------

_kept = per_loop(lambda: Kept[Resolved](keep_s=PLANS_KEPT_S, most=200))


async def _lately_resolved(call: RunCall) -> Resolved:
    config = repr(call.config)
    if len(config) > LONGEST_KEPT_CONFIG:
        return await in_database_thread(_resolved)(call)
    key = call.slug, call.ref, call.caller.user.pk, call.door.name, config
    return await _kept().get(key, lambda: in_database_thread(_resolved)(call))


def _resolved(call: RunCall) -> Resolved:
    user = call.caller.user
    found = find(slug=call.slug, ref=call.ref, user=user, switch=call.door.switch)
    if call.door.shows_steps and not found.shows_steps_to(user):
        raise errors.StepsHidden()
    config = read_config(call.config, allowed=found.config_keys)
    plan = plan_of(found, user, config.configurable)
    plan.load()
    return Resolved(found=found, client_config=config, plan=plan)


# --- Input and config --------------------------------------------------------------------------


def _checked(call: RunCall, resolved: Resolved) -> Checked:
    plan = resolved.plan
    return Checked(
        call=call,
        resolved=resolved,
        input=plan.check_input(call.input),
        config=resolved.client_config.for_langchain(configurable=dict(plan.configurable)),
    )


async def _personalised(checked: Checked) -> Checked:
    """Apply the chain's ``per_request`` for this caller; raises ChainHubError where it fails."""
    entry, call = checked.resolved.found.entry, checked.call
    if entry is None or entry.per_request is None:
        return checked
    info = RequestInfo(
        username=call.caller.user.username,
        user_id=call.caller.user.pk,
        key_id=call.caller.key.pk if call.caller.key else None,
        chain=call.slug,
        endpoint=call.door.switch,
        headers={name: text for name, text in call.headers.items() if name not in CREDENTIALS},
    )
    try:
        return replace(checked, config=await personalised(entry, checked.config, info))
    except errors.ChainHubError:
        raise
    except Exception:
        logger.exception("the code of chain %s failed for a request", checked.plan.chain_slug)
        raise errors.ChainHubError() from None


# --- Reservation -------------------------------------------------------------------------------


def _row(checked: Checked) -> Run:
    """The row of a new run; not written yet."""
    call, resolved, plan = checked.call, checked.resolved, checked.plan
    version = resolved.found.version
    return Run(
        id=resolved.client_config.run_id or uuid.uuid4(),
        parent_id=call.parent_id,
        # Ids, because assigning the objects takes Django as long as all the rest.
        chain_id=resolved.found.chain.pk,
        chain_slug=plan.chain_slug,
        chain_version_id=version.pk if version else None,
        chain_version_number=plan.version,
        package=plan.package,
        prompt_versions=dict(plan.prompts),
        plan_digest=plan.digest,
        user_id=call.caller.user.pk,
        key_id=call.caller.key.pk if call.caller.key else None,
        source=call.door.source,
        config=_meaningful(resolved.client_config, plan),
        input=checked.input.data,
        worker=worker_id(),
    )


def _meaningful(config: RunConfig, plan: Plan) -> dict[str, Any]:
    """The config to record, without names that the chain does not declare: those may hold a credential."""
    kept = config.model_dump(mode="json", exclude_unset=True, exclude={"run_id", CONFIGURABLE})
    return kept | ({CONFIGURABLE: encode(dict(plan.configurable))} if plan.configurable else {})


def _claim_id(run: Run) -> None:
    """Write the row of a run whose id the caller has chosen; raises InvalidInput where the id is taken."""
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        if not Run.objects.filter(pk=run.pk).exists():
            raise
        raise errors.InvalidInput.at(
            ["run_id"], "value_error", "Another run has this id", message="The config is not valid."
        ) from None
