"""From a chain's slug and ref to the plan that runs."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from chains.actions.codechains import record
from chains.models import Chain, ChainVersion, Price, Prompt, Provider
from chains.runtime import pricing
from chains.runtime.errors import ChainNotFound, InvalidInput, InvalidSpec
from chains.runtime.names import LATEST, PRODUCTION, SLUG_PATTERN
from chains.runtime.plans.base import Plan, PlanStep, PlanTarget
from chains.runtime.plans.code import CodePlan, checked_configurable
from chains.runtime.plans.configured import SpecPlan
from chains.runtime.registry import Registered, registered
from chains.runtime.spec.chain import Spec
from chains.runtime.spec.options import configured, options_schema
from chains.runtime.steps.llm import LLMStep, Target
from chains.runtime.wire.config import CONFIGURABLE
from chains.runtime.wire.fielderrors import schema_faults


@dataclass(frozen=True, kw_only=True)
class Found:
    """A chain that a caller may run: a version of a configured one, or an entry of the registry."""

    chain: Chain
    version: ChainVersion | None = None
    entry: Registered | None = None

    @property
    def config_keys(self) -> Collection[str]:
        return self.entry.config_keys if self.entry else self.chain.config_keys

    def shows_steps_to(self, user: Any) -> bool:
        """Inner steps show prompts: to editors always, to others where the chain says so."""
        return self.chain.expose_steps or user.has_perm("chains.change_chain")

    def plan(self, configurable: Any = None) -> Plan:
        """Raises InvalidSpec where it cannot run, InvalidInput for a choice that the chain does not offer."""
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


def find(*, slug: str, ref: str = PRODUCTION, user: Any, endpoint: str = "") -> Found:
    """What this user may run there; ChainNotFound whatever the reason is that there is nothing."""
    # What can be no name is not looked for: U+0000 is an error to some databases.
    if not all(re.fullmatch(SLUG_PATTERN, name) for name in (slug, ref)):
        raise ChainNotFound()
    chain = _chain(slug, user)
    if chain is None and (entry := registered(slug)) is not None:
        # Registered since the server started, or served by a server that does not record at its start.
        record(entry)
        chain = _chain(slug, user)
    if chain is None or endpoint in chain.disabled_endpoints:
        raise ChainNotFound()
    if chain.kind == Chain.Kind.CODE:
        # The code that runs is its only version.
        if ref not in (PRODUCTION, LATEST):
            raise ChainNotFound()
        return Found(chain=chain, entry=registered(slug))
    try:
        version = chain.at(ref)
    except ChainNotFound:
        raise ChainNotFound() from None
    version.parent = chain
    return Found(chain=chain, version=version)


def _chain(slug: str, user: Any) -> Chain | None:
    return Chain.objects.visible_to(user).enabled().filter(slug=slug).first()


def plan_for(version: ChainVersion, configurable: Any = None) -> SpecPlan:
    """Every reference of a version resolved as it stands now, with a caller's choices applied.

    Raises InvalidSpec naming what lacks, InvalidInput for a choice that the chain does not offer.
    """
    spec, options, chosen = _configured(version, configurable)
    providers = _providers(spec)
    prices = _prices(providers.values())
    plan = SpecPlan(
        chain_slug=version.parent.slug,
        chain_name=version.parent.name or version.parent.slug,
        chain_description=version.parent.description,
        version=version.number,
        steps=tuple(_step(step, spec, providers, prices) for step in spec.steps),
        options=options,
        configurable=chosen,
        system_messages=version.parent.system_messages,
        run_timeout_s=spec.timeouts.run_s or max(p.run_timeout_s for p in providers.values()),
    )
    _ = plan.input_schema
    return plan


def _configured(version: ChainVersion, configurable: Any) -> tuple[Spec, dict[str, Any], dict[str, Any]]:
    """The version's spec as the caller wants it, the schema of what may be wanted, and what is."""
    spec = version.parsed
    if not spec.configurable:
        return spec, {}, {}
    options = options_schema(spec.configurable, spec.steps)
    if configurable in (None, {}):
        return spec, options, {}
    if CONFIGURABLE not in version.parent.config_keys:
        raise InvalidInput("This chain lets its callers configure nothing: leave 'configurable' out.")
    if faults := schema_faults(options, configurable):
        raise InvalidInput("The config is not valid.", errors=faults).inside(CONFIGURABLE)
    chosen = {name: value for name, value in configurable.items() if name in options["properties"]}
    steps = configured(spec.steps, spec.configurable, chosen)
    return spec.model_copy(update={"steps": steps}), options, chosen


def _step(
    step: LLMStep,
    spec: Spec,
    providers: Mapping[str, Provider],
    prices: Mapping[tuple[str, str], pricing.Price],
) -> PlanStep:
    prompt = Prompt.objects.filter(slug=step.prompt.slug).first()
    if prompt is None:
        raise InvalidSpec(f"Step {step.name!r}: there is no prompt {step.prompt.slug!r}.")
    try:
        version = prompt.at(step.prompt.ref)
    except ChainNotFound:
        raise InvalidSpec(
            f"Step {step.name!r}: the prompt {prompt.slug!r} has no {step.prompt.ref!r} version yet. "
            "Publish the prompt first, or refer to another version."
        ) from None

    def resolved(target: Target) -> PlanTarget:
        config = providers[target.provider].to_config()
        price = prices.get((target.provider, target.model))
        return PlanTarget(provider=config, model=target.model, price=price)

    return PlanStep(
        name=step.name,
        prompt_slug=prompt.slug,
        prompt_version=version.number,
        prompt=version.spec,
        targets=tuple(resolved(target) for target in (step.target, *spec.fallbacks)),
        params=step.params,
        parser=step.parser,
    )


def _providers(spec: Spec) -> dict[str, Provider]:
    wanted = {target.provider for target in (*(s.target for s in spec.steps), *spec.fallbacks)}
    found = {p.slug: p for p in Provider.objects.filter(slug__in=wanted)}
    for slug in sorted(wanted):
        if slug not in found:
            raise InvalidSpec(f"There is no provider {slug!r}.")
        if not found[slug].enabled:
            raise InvalidSpec(f"The provider {slug!r} is switched off.")
    return found


def _prices(providers: Any) -> dict[tuple[str, str], pricing.Price]:
    rows = Price.objects.filter(provider__in=list(providers)).valid_now().select_related("provider")
    return {
        (row.provider.slug, row.model): pricing.Price(input_usd=row.input_usd, output_usd=row.output_usd)
        for row in rows
    }
