"""Creates the demo data of a new installation: a user, a group, two chains and their providers."""

from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from accounts.models import User
from chains.models import Chain, Price, Prompt, Provider
from chains.runtime.names import PRODUCTION
from chains.runtime.spec.chain import Spec, parse_spec
from chains.runtime.steps.prompts import PromptSpec

DEMO_MODEL = "demo-coach"
EDITOR_MODELS = ("prompt", "promptversion", "promptlabel", "chain", "chainversion", "chainlabel")

FITNESS_PROMPT = {
    "messages": [
        {"role": "system", "content": "You are a friendly and encouraging fitness trainer."},
        {"role": "human", "content": "{input}"},
    ],
    "variables": [
        {
            "name": "input",
            "type": "text",
            "description": "What would you like to know? For example: How do I start running?",
        }
    ],
}
REWRITE_PROMPT = {
    "messages": [
        {"role": "system", "content": "You rewrite texts. Answer with the new text only."},
        {
            "role": "human",
            "content": "Rewrite this in a {tone} tone, in about {words} words:\n\n{text}",
        },
    ],
    "variables": [
        {"name": "text", "type": "text", "description": "The text to rewrite."},
        {
            "name": "tone",
            "type": "choice",
            "choices": ["friendly", "formal", "playful"],
            "default": "friendly",
        },
        {"name": "words", "type": "integer", "description": "About how long.", "default": 50},
    ],
}


@transaction.atomic
def seed_demo(*, openai_api_key: str = "", openai_base_url: str = "", openai_model: str = "") -> None:
    """Create what is missing; records that people have changed stay as they are.

    With an OpenAI key or endpoint, ``fitness`` uses that provider, unless somebody has edited the chain.
    """
    _ensure_user()
    _ensure_editors()
    demo = _ensure_demo_provider()
    _ensure_prompt("fitness", "Fitness trainer", FITNESS_PROMPT)
    _ensure_prompt("rewrite", "Rewrite a text", REWRITE_PROMPT)
    specs = [_spec("fitness", demo.slug, DEMO_MODEL)]
    if openai_api_key or openai_base_url:
        _ensure_openai_provider(openai_api_key, openai_base_url)
        specs.append(_spec("fitness", "openai", openai_model))
    _ensure_chain("fitness", "Fitness trainer", "A friendly and encouraging fitness trainer.", specs)
    _ensure_chain(
        "rewrite",
        "Rewrite a text",
        "Several variables: a text, a tone and a length.",
        [_spec("rewrite", demo.slug, "demo-echo")],
    )


def _ensure_user() -> User:
    user, created = User.objects.get_or_create(username="demo", defaults={"first_name": "Demo"})
    if created:
        user.set_unusable_password()
        user.save()
    return user


def _ensure_editors() -> None:
    """Create the group for staff who write prompts and chains; superusers manage everything else."""
    group, created = Group.objects.get_or_create(name="editors")
    if created:
        names = [f"{verb}_{model}" for model in EDITOR_MODELS for verb in ("view", "add", "change")]
        allowed = Permission.objects.filter(
            content_type__app_label="chains", codename__in=[*names, "view_run"]
        )
        group.permissions.set(allowed)


def _ensure_demo_provider() -> Provider:
    provider, created = Provider.objects.get_or_create(slug="demo", defaults={"kind": "demo"})
    if created:
        for model in (DEMO_MODEL, "demo-echo"):
            Price.objects.create(
                provider=provider, model=model, input_usd=Decimal("0.10"), output_usd=Decimal("0.40")
            )
    return provider


def _ensure_openai_provider(api_key: str, base_url: str) -> None:
    """Store the endpoint and key of the environment; they replace those of the record."""
    Provider.objects.update_or_create(
        slug="openai", defaults={"kind": "openai", "base_url": base_url, "api_key": api_key}
    )


def _ensure_prompt(slug: str, name: str, data: dict[str, Any]) -> None:
    prompt, created = Prompt.objects.get_or_create(slug=slug, defaults={"name": name})
    if created:
        version = prompt.save_spec(PromptSpec.model_validate(data), author=None, note="The demo")
        prompt.point(PRODUCTION, version, by=None)


def _ensure_chain(slug: str, name: str, description: str, specs: list[Spec]) -> None:
    """Publish the last of ``specs``, unless the version in production was made by a person."""
    chain, _ = Chain.objects.get_or_create(slug=slug, defaults={"name": name, "description": description})
    label = chain.labels.filter(name=PRODUCTION).select_related("version").first()
    if label is None or (label.version.author_id is None and label.version.parsed != specs[-1]):
        version = chain.save_spec(specs[-1], author=None, note="The demo")
        chain.point(PRODUCTION, version, by=None)


def _spec(prompt: str, provider: str, model: str) -> Spec:
    step = {"name": "answer", "prompt": {"slug": prompt}, "provider": provider, "model": model}
    return parse_spec({"steps": [step]})
