"""What a fresh installation shows."""

from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from accounts.callers import Caller
from accounts.models import User
from chains.actions.demo import seed_demo
from chains.actions.find import resolve
from chains.actions.runs import run_chain
from chains.actions.runs.call import RunCall
from chains.doors import DOORS
from chains.models import Chain, ChainVersion, LabelMove, Price, Prompt, PromptVersion, Provider
from chains.runtime.spec.chain import parse_spec

MODELS = (User, Provider, Price, Prompt, PromptVersion, Chain, ChainVersion, LabelMove)


def counts() -> list[int]:
    return [model.objects.count() for model in MODELS]


def target(slug: str, user: User) -> tuple[str, str]:
    first = resolve(slug=slug, user=user)[1].steps[0].targets[0]
    return first.provider.slug, first.model


def test_seeding_twice_changes_nothing(db):
    seed_demo()
    before = counts()
    seed_demo()

    assert counts() == before


def test_the_demo_user_cannot_sign_in_with_a_password(db):
    seed_demo()

    user = User.objects.get(username="demo")
    assert not user.has_usable_password()
    assert not user.is_staff


@pytest.mark.parametrize(
    ("slug", "value", "says"),
    [
        ("fitness", {"input": "Squats?"}, "Squats?"),
        ("rewrite", {"text": "Hello"}, "friendly tone, in about 50 words:\n\nHello"),
    ],
)
async def test_the_demo_chains_answer_without_a_key(shared_db, alice, slug, value, says):
    await sync_to_async(seed_demo)()
    call = RunCall(slug=slug, caller=Caller(user=alice, key=None), input=value, door=DOORS["invoke"])

    result = await run_chain(call)

    assert says in result.output
    assert result.figures.cost_usd > Decimal(0)


def test_with_a_key_fitness_runs_through_openai(alice):
    seed_demo(openai_api_key="sk-x", openai_base_url="http://127.0.0.1:1/v1", openai_model="gpt-x")

    assert target("fitness", alice) == ("openai", "gpt-x")
    assert target("rewrite", alice) == ("demo", "demo-echo")
    assert Provider.objects.get(slug="openai").api_key == "sk-x"


def test_a_key_that_comes_later_moves_fitness_and_one_that_goes_moves_it_back(alice):
    seed_demo()
    seed_demo(openai_api_key="sk-x", openai_model="gpt-x")
    assert target("fitness", alice) == ("openai", "gpt-x")

    seed_demo()
    assert target("fitness", alice) == ("demo", "demo-coach")


def test_what_somebody_has_edited_is_left_alone(alice):
    seed_demo()
    fitness = Chain.objects.get(slug="fitness")
    data = fitness.latest().spec
    data["steps"][0]["model"] = "demo-echo"
    fitness.point("production", fitness.save_spec(parse_spec(data), author=alice), by=alice)
    User.objects.filter(username="demo").update(first_name="Dora")
    before = counts()

    seed_demo()

    assert (target("fitness", alice), counts()) == (("demo", "demo-echo"), before)
    assert User.objects.get(username="demo").first_name == "Dora"
