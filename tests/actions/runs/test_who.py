"""Who may run what, and what nobody runs."""

import pytest
from django.contrib.auth.models import Group

from accounts.callers import Caller
from chains.actions.runs import run_chain, start_run
from chains.models import Chain, Prompt, Provider, Run
from chains.runtime import errors
from tests.actions.runs.helpers import add, call, events_of, the_run
from tests.conftest import add_prompt
from tests.upstream import slow

pytestmark = pytest.mark.usefixtures("shared_db")


async def test_a_chain_for_groups_is_not_there_for_others(as_alice, bob, joke):
    group = await Group.objects.acreate(name="writers")
    await as_alice.user.groups.aadd(group)
    await joke.groups.aadd(group)
    await Chain.objects.filter(pk=joke.pk).aupdate(access=Chain.Access.GROUPS)

    assert (await run_chain(call(as_alice, "joke"))).output == "cats"
    with pytest.raises(errors.ChainNotFound) as caught:
        await run_chain(call(Caller(user=bob, key=None), "joke"))

    assert str(caught.value) == errors.ChainNotFound.message
    assert await Run.objects.acount() == 1


async def test_one_sees_ones_own_runs_only(as_alice, bob, root, joke):
    await run_chain(call(as_alice, "joke"))

    seen = [await Run.objects.visible_to(user).acount() for user in (as_alice.user, bob, root)]
    assert seen == [1, 0, 0]


@pytest.mark.parametrize("ref", ["2", "staging", "0", "", "a\x00b", "\ud800", "9" * 30, "-1", "x" * 65])
async def test_a_version_that_is_not_there_is_not_replaced_by_another(as_alice, joke, ref):
    with pytest.raises(errors.ChainNotFound):
        await start_run(call(as_alice, "joke", ref=ref))


async def test_a_disabled_chain_is_not_there(as_alice, joke):
    await Chain.objects.filter(pk=joke.pk).aupdate(enabled=False)

    with pytest.raises(errors.ChainNotFound):
        await start_run(call(as_alice, "joke"))


async def test_what_a_chain_lacks_is_told_to_editors_only(as_alice, staff, joke):
    await Provider.objects.filter(slug="demo").aupdate(enabled=False)

    with pytest.raises(errors.InvalidSpec, match="'demo' is switched off"):
        await start_run(call(Caller(user=staff, key=None), "joke"))
    with pytest.raises(errors.InvalidSpec) as caught:
        await start_run(call(as_alice, "joke"))

    assert str(caught.value) == errors.InvalidSpec.message
    assert not await Run.objects.aexists()


async def test_an_input_that_does_not_fit_leaves_no_row(as_alice, joke):
    with pytest.raises(errors.InvalidInput):
        await start_run(call(as_alice, "joke", {"topic": ["x"]}))

    assert not await Run.objects.aexists()


async def test_a_run_keeps_its_versions_when_a_new_one_is_published(as_alice, poem, upstream):
    upstream.script(slow(first_token_s=0.2))
    stream = await start_run(call(as_alice))
    await add(add_prompt, "poem", "A song about {topic}")

    await events_of(stream)

    assert upstream.requests[0].body["messages"][0]["content"] == "A poem about cats"
    assert (await the_run()).prompt_versions == {"poem": 1}
    await run_chain(call(as_alice))
    assert upstream.requests[1].body["messages"][0]["content"] == "A song about cats"


async def test_a_record_outlives_the_chain_and_its_prompt(as_alice, joke):
    await run_chain(call(as_alice, "joke"))
    await Chain.objects.all().adelete()
    await Prompt.objects.all().adelete()

    run = await the_run()
    assert (run.chain_id, run.chain_version_id, run.chain_slug, run.output) == (None, None, "joke", "cats")
