"""From a chain's slug and ref to the plan that runs."""

import re
from collections.abc import Mapping
from typing import Any

from chains.models import Chain, ChainVersion, Price, Prompt, Provider
from chains.runtime import pricing
from chains.runtime.errors import ChainNotFound, InvalidSpec
from chains.runtime.plan import Plan, PlanStep, PlanTarget
from chains.runtime.spec import PRODUCTION, SLUG_PATTERN, LLMStep, Spec, Target


def split_ref(text: str) -> tuple[str, str]:
    """``slug``, ``slug@label`` or ``slug@number`` as slug and ref."""
    slug, at, ref = text.partition("@")
    return slug, ref if at else PRODUCTION


def find_version(*, slug: str, ref: str, user: Any) -> ChainVersion:
    """The version this user may run; ChainNotFound whatever the reason is that there is none."""
    # What can be no name is not looked for: U+0000 is an error to some databases.
    if not all(re.fullmatch(SLUG_PATTERN, name) for name in (slug, ref)):
        raise ChainNotFound()
    chain = Chain.objects.visible_to(user).enabled().filter(slug=slug).first()
    if chain is None:
        raise ChainNotFound()
    try:
        version = chain.at(ref)
    except ChainNotFound:
        raise ChainNotFound() from None
    version.parent = chain
    return version


def resolve_plan(*, slug: str, ref: str = PRODUCTION, user: Any) -> Plan:
    """The plan for a caller; raises ChainNotFound, or InvalidSpec where it cannot run."""
    return plan_for(find_version(slug=slug, ref=ref, user=user))


def plan_for(version: ChainVersion) -> Plan:
    """Every reference of a version resolved as it stands now; raises InvalidSpec naming what lacks."""
    spec = version.parsed
    providers = _providers(spec)
    prices = _prices(providers.values())
    plan = Plan(
        chain_slug=version.parent.slug,
        chain_name=version.parent.name or version.parent.slug,
        chain_description=version.parent.description,
        version=version.number,
        steps=tuple(_step(step, spec, providers, prices) for step in spec.steps),
        run_timeout_s=spec.timeouts.run_s or max(p.run_timeout_s for p in providers.values()),
    )
    _ = plan.input_schema
    return plan


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
