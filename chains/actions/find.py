"""Looks up a chain by slug and ref, and resolves the plan that runs."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from accounts.models import Visitor
from chains.actions.codechains import record
from chains.actions.library import plan_for
from chains.models import Chain, ChainVersion
from chains.runtime.errors import ChainNotFound, InvalidSpec
from chains.runtime.names import LATEST, PRODUCTION, SLUG_PATTERN
from chains.runtime.plans.base import Plan
from chains.runtime.plans.code import CodePlan, checked_configurable
from chains.runtime.registry import Registered, registered
from chains.runtime.wire.config import read_config
from concurrency.database import in_database_thread


@dataclass(frozen=True, kw_only=True)
class Found:
    """A chain that a caller may run, with its version (configured chain) or its registration (code chain)."""

    chain: Chain
    version: ChainVersion | None = None
    entry: Registered | None = None

    @property
    def config_keys(self) -> Collection[str]:
        return self.entry.config_keys if self.entry else self.chain.config_keys

    def shows_steps_to(self, user: Visitor) -> bool:
        """Whether the user may see inner steps, which contain prompts.

        Editors may see them always, other users where the chain allows it.
        """
        return self.chain.expose_steps or user.has_perm("chains.change_chain")

    def plan(self, configurable: Any = None) -> Plan:
        """The plan with a caller's choices applied.

        Raises InvalidSpec where it cannot run, InvalidInput for a choice that the chain does not offer.
        """
        if self.version is not None:
            return plan_for(self.version, configurable)
        if self.entry is None:
            raise InvalidSpec(f"No code registers the chain {self.chain.slug!r} any more.")
        return CodePlan(
            chain_slug=self.chain.slug,
            chain_name=self.chain.name or self.chain.slug,
            chain_description=self.chain.description or self.entry.description,
            package=self.entry.package,
            run_timeout_s=self.entry.timeout_s,
            system_messages=self.chain.system_messages,
            configurable=checked_configurable(self.entry, configurable),
            entry=self.entry,
        )


def find(*, slug: str, ref: str = PRODUCTION, user: Visitor, switch: str = "") -> Found:
    """Look up a chain that this user may run. Raises ChainNotFound, whatever the reason is.

    ``switch`` names the switch that must be open on the chain.
    """
    # An invalid name is not looked up, because some databases raise an error for U+0000.
    if not all(re.fullmatch(SLUG_PATTERN, name) for name in (slug, ref)):
        raise ChainNotFound()
    chain = _chain(slug, user)
    if chain is None and (entry := registered(slug)) is not None:
        # It was registered after the server started, or this server does not create rows at its start.
        record(entry)
        chain = _chain(slug, user)
    if chain is None or not chain.is_open(switch):
        raise ChainNotFound()
    if chain.kind == Chain.Kind.CODE:
        # The registered code is the only version of a code chain.
        if ref not in (PRODUCTION, LATEST):
            raise ChainNotFound()
        return Found(chain=chain, entry=registered(slug))
    try:
        version = chain.at(ref)
    except ChainNotFound:
        raise ChainNotFound() from None
    version.parent = chain
    return Found(chain=chain, version=version)


def _chain(slug: str, user: Visitor) -> Chain | None:
    return Chain.objects.visible_to(user).enabled().filter(slug=slug).first()


def plan_of(found: Found, user: Visitor, configurable: Any) -> Plan:
    """The plan with this caller's choices; raises InvalidSpec, and InvalidInput for an invalid choice."""
    try:
        return found.plan(configurable)
    except InvalidSpec:
        # Only editors get the message, because they can fix the chain. For others it would reveal internals.
        if user.has_perm("chains.change_chain"):
            raise
        raise InvalidSpec() from None


def resolve(
    *, slug: str, ref: str = PRODUCTION, user: Visitor, switch: str = "", config: Any = None
) -> tuple[Found, Plan]:
    """The chain and the plan that would run.

    Raises ChainNotFound, InvalidSpec, and InvalidInput for the config.
    """
    found = find(slug=slug, ref=ref, user=user, switch=switch)
    return found, plan_of(found, user, read_config(config, allowed=found.config_keys).configurable)


aresolve = in_database_thread(resolve)
