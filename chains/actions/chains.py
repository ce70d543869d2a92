"""Checks and publishes versions of chains."""

import asyncio

from accounts.models import User
from chains.actions.library import plan_for
from chains.actions.versions import check_label, move_label
from chains.models import ChainVersion
from chains.runtime.errors import InvalidSpec
from chains.runtime.names import PRODUCTION
from chains.runtime.plans.configured import ConfiguredPlan
from chains.runtime.spec.options import every_choice
from chains.runtime.wire.config import CONFIGURABLE


def publish_chain_version(*, version: ChainVersion, by: User | None, label: str = PRODUCTION) -> bool:
    """Move ``label`` to this version, and record the move; callers get the version at once.

    Returns False where the label is there already. Raises InvalidSpec where the version cannot run at
    present, and Django's ValidationError for an invalid label.
    """
    check_label(version, label)
    check_chain_version(version)
    return move_label(version, label=label, by=by)


def check_chain_version(version: ChainVersion) -> None:
    """Raises InvalidSpec where the version, or a choice that it offers, cannot run at present.

    It calls no model.
    """
    asyncio.run(_build(plan_for(version)))
    if CONFIGURABLE not in version.parent.config_keys:
        return
    for configurable in every_choice(version.parsed.configurable):
        ((name, choice),) = configurable.items()
        try:
            asyncio.run(_build(plan_for(version, configurable)))
        except InvalidSpec as error:
            raise InvalidSpec(f"With {name!r} set to {choice!r}: {error}") from error


async def _build(plan: ConfiguredPlan) -> None:
    # Needs an event loop, because the connections of models belong to one.
    plan.build()
