"""Looks up in the database the records that steps refer to, and makes plans from them."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import F

from chains.models import ChainVersion, Price, Prompt, Provider
from chains.runtime import pricing
from chains.runtime.errors import ChainNotFound, InvalidInput, InvalidSpec
from chains.runtime.plans.configured import ConfiguredPlan
from chains.runtime.providers.reach import PlanTarget
from chains.runtime.spec.chain import Spec
from chains.runtime.spec.options import configured, options_schema
from chains.runtime.steps.base import FoundPrompt, PlannedStep, PromptRef, Reference, Step, Target
from chains.runtime.wire.config import CONFIGURABLE
from chains.runtime.wire.fielderrors import schema_faults

# Time limit of a run where neither its chain nor anything that it uses sets one.
DEFAULT_RUN_S = 300.0


class DatabaseLibrary:
    """Looks up the providers and prices of all ``references`` at once, and prompts one by one.

    Raises InvalidSpec for a provider that is missing or switched off.
    """

    def __init__(self, references: Iterable[Reference]):
        slugs = {ref.provider for ref in references if isinstance(ref, Target)}
        self._providers, self._learned = _providers(slugs)
        self._prices = _prices({provider.pk: slug for slug, provider in self._providers.items()})

    def prompt(self, ref: PromptRef) -> FoundPrompt:
        prompt = Prompt.objects.filter(slug=ref.slug).first()
        if prompt is None:
            raise InvalidSpec(f"there is no prompt {ref.slug!r}.")
        try:
            version = prompt.at(ref.ref)
        except ChainNotFound:
            raise InvalidSpec(
                f"the prompt {ref.slug!r} has no {ref.ref!r} version yet. "
                "Publish the prompt first, or refer to another version."
            ) from None
        return FoundPrompt(slug=prompt.slug, number=version.number, spec=version.spec)

    def target(self, target: Target) -> PlanTarget:
        return PlanTarget(
            provider=self._providers[target.provider].to_config(),
            model=target.model,
            price=self._prices.get((target.provider, target.model)),
            learned=self._learned.get((target.provider, target.model), {}),
        )


Learned = dict[tuple[str, str], dict[str, str]]
"""The learned habits by provider and model."""


def _providers(slugs: set[str]) -> tuple[dict[str, Provider], Learned]:
    """The providers, and what is learned about their models, in one query."""
    found: dict[str, Provider] = {}
    learned: Learned = {}
    habits = {"of_model": F("learned__model"), "habit": F("learned__habit"), "value": F("learned__value")}
    rows: Iterable[Any] = Provider.objects.filter(slug__in=slugs).annotate(**habits)
    for row in rows:
        found[row.slug] = row
        if row.habit is not None:
            learned.setdefault((row.slug, row.of_model), {})[row.habit] = row.value
    for slug in sorted(slugs):
        if slug not in found:
            raise InvalidSpec(f"There is no provider {slug!r}.")
        if not found[slug].enabled:
            raise InvalidSpec(f"The provider {slug!r} is switched off.")
    return found, learned


def _prices(slugs: Mapping[int, str]) -> dict[tuple[str, str], pricing.Price]:
    """The prices that are valid now; ``slugs`` names the providers by their ids."""
    return {
        (slugs[row.provider_id], row.model): pricing.Price(
            input_usd=row.input_usd,
            cached_input_usd=row.cached_input_usd,
            output_usd=row.output_usd,
        )
        for row in Price.objects.filter(provider__in=list(slugs)).valid_now()
    }


# --- Plans -------------------------------------------------------------------------------------


def plan_for(version: ChainVersion, configurable: Any = None) -> ConfiguredPlan:
    """The plan of a version: a caller's choices are applied, and every reference is resolved as of now.

    Raises InvalidSpec, which names what is missing, and InvalidInput for a choice that the chain does not
    offer.
    """
    spec, options, chosen = _configured(version, configurable)
    library = DatabaseLibrary(spec.references())
    fallbacks = [library.target(target) for target in spec.fallbacks]
    steps = tuple(_resolved(step, library, fallbacks) for step in spec.steps)
    limits = [s.run_timeout_s for step in steps for s in step.walk() if s.run_timeout_s is not None]
    plan = ConfiguredPlan(
        chain_slug=version.parent.slug,
        chain_name=version.parent.name or version.parent.slug,
        chain_description=version.parent.description,
        version=version.number,
        steps=steps,
        options=options,
        configurable=chosen,
        system_messages=version.parent.system_messages,
        run_timeout_s=spec.timeouts.run_s or max(limits, default=DEFAULT_RUN_S),
    )
    _ = plan.input_schema
    return plan


def _resolved(step: Step, library: DatabaseLibrary, fallbacks: list[PlanTarget]) -> PlannedStep:
    try:
        return step.resolved(library, fallbacks=fallbacks)
    except InvalidSpec as error:
        raise InvalidSpec(f"Step {step.name!r}: {error}") from error


def _configured(version: ChainVersion, configurable: Any) -> tuple[Spec, dict[str, Any], dict[str, Any]]:
    """The spec with the caller's choices applied, the JSON Schema of all choices, and the choices made."""
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
