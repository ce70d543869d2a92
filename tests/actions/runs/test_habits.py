"""What refusals of providers teach is kept, and counts in later runs."""

import pytest

from chains.actions.habits import note
from chains.actions.library import plan_for
from chains.actions.runs import run_chain
from chains.models import Chain, LearnedHabit, Provider
from chains.runtime.context import Taught
from tests.actions.runs.helpers import add, call, until
from tests.conftest import add_chain, add_prompt, over_http
from tests.upstream import answers, body, depends

pytestmark = pytest.mark.usefixtures("shared_db")

REFUSAL = body({"error": {"message": "Unknown parameter: 'temperature'.", "param": "temperature"}}, 400)
STRICT = depends(lambda sent: REFUSAL if "temperature" in sent else answers("Hello"))


def taught(value: str | None, provider: str = "openai") -> Taught:
    return Taught(provider=provider, model="test-model", habit="streaming", value=value, refusal="No streams")


async def add_warm_chain() -> None:
    await add(add_prompt, "poem")
    await add(add_chain, "warm", over_http("poem", params={"temperature": 0.5}))


async def test_a_run_leaves_what_it_learned_for_later_runs(as_alice, openai, upstream):
    await add_warm_chain()
    upstream.script(*[STRICT] * 9)

    await run_chain(call(as_alice, "warm"))

    await until(LearnedHabit.objects.filter(habit="temperature", value="left out").aexists)
    row = await LearnedHabit.objects.aget()
    assert (row.model, row.refusal) == ("test-model", "Unknown parameter: 'temperature'.")
    plan = await add(lambda: plan_for(Chain.objects.get(slug="warm").at("production")))
    assert plan.steps[0].targets[0].learned == {"temperature": "left out"}


async def test_what_is_learned_does_not_change_the_digest(openai):
    await add_warm_chain()

    def digest() -> str:
        return plan_for(Chain.objects.get(slug="warm").at("production")).digest

    before = await add(digest)
    await add(note, taught("only"))

    assert await add(digest) == before


@pytest.mark.django_db
def test_a_lesson_replaces_the_one_before_it_and_may_be_forgotten(openai):
    note(taught("only"))
    note(taught("never"))
    assert [str(row) for row in LearnedHabit.objects.all()] == ["test-model: streaming = never"]

    note(taught(None))
    assert not LearnedHabit.objects.exists()


@pytest.mark.django_db
def test_a_provider_that_is_gone_leaves_nothing(openai):
    note(taught("only", provider="gone"))
    note(taught("only"))
    Provider.objects.all().delete()

    assert not LearnedHabit.objects.exists()
