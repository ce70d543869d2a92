"""Signed-in browsers, and chains that the demo model answers at once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import AsyncClient, Client

from accounts.models import User
from chains.models import Chain, Prompt, Provider, Run
from chains.runtime.spec.chain import parse_spec
from chains.runtime.steps.prompts import PromptSpec


@pytest.fixture
def signed_in(alice) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
async def signed_in_async(shared_db) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate(username="alice"))
    return client


def publish_chain(slug: str, *, messages: list[Any], variables: list[Any] = ()) -> Chain:
    """A published chain of one step, answered by the demo model at once."""
    Provider.objects.get_or_create(slug="demo", kind="demo")
    prompt = Prompt.objects.create(slug=slug)
    spec = PromptSpec.model_validate({"messages": messages, "variables": list(variables)})
    prompt.point("production", prompt.save_spec(spec, author=None), by=None)
    chain = Chain.objects.create(slug=slug, name=slug.capitalize(), description=f"What {slug} does.")
    step = {
        "name": "answer",
        "prompt": {"slug": slug},
        "provider": "demo",
        "model": "demo-coach",
        "params": {"extra": {"delay_ms": 0}},
    }
    version = chain.save_spec(parse_spec({"steps": [step]}), author=None)
    chain.point("production", version, by=None)
    return chain


def publish_fitness() -> Chain:
    return publish_chain("fitness", messages=[{"role": "human", "content": "{input}"}])


@pytest.fixture
def fitness(db) -> Chain:
    return publish_fitness()


@pytest.fixture
def letter(db) -> Chain:
    return publish_chain(
        "letter",
        messages=[
            {"placeholder": "history", "optional": True},
            {"role": "human", "content": "Write to {recipient}: {points} {tone} {paragraphs}"},
        ],
        variables=[
            {"name": "recipient", "description": "Who it is for."},
            {"name": "points", "type": "text", "default": "Thank you"},
            {"name": "tone", "type": "choice", "choices": ["kind", "brief"], "default": "kind"},
            {"name": "paragraphs", "type": "integer", "default": 3},
        ],
    )


@pytest.fixture
def record_run(fitness) -> Callable[..., Run]:
    def record(user: User, **fields: Any) -> Run:
        return Run.objects.create(
            **{
                "chain": fitness,
                "chain_slug": "fitness",
                "chain_version_number": 1,
                "prompt_versions": {"fitness": 1},
                "user": user,
                "source": "ws",
                "status": Run.Status.SUCCEEDED,
                "input": {"input": "How do I begin?"},
                "output": "Slowly.",
                "worker": "test",
                **fields,
            }
        )

    return record
