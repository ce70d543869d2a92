"""From a slug and a ref to the plan that runs."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from chains.actions.find import find, resolve
from chains.models import Chain, Price, Prompt, Provider
from chains.runtime.errors import ChainNotFound, InvalidSpec
from chains.runtime.names import split_ref
from tests.conftest import add_chain, add_prompt, step


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("joke", ("joke", "production")),
        ("joke@staging", ("joke", "staging")),
        ("joke@7", ("joke", "7")),
        ("joke@", ("joke", "")),
        ("@7", ("", "7")),
        ("a@b@c", ("a", "b@c")),
    ],
)
def test_a_ref_is_split_at_the_first_at_sign(text, parts):
    assert split_ref(text) == parts


@pytest.mark.parametrize("ref", ["production", "latest", "1", "01"])
def test_a_version_is_found_by_label_and_number(alice, joke, ref):
    assert find(slug="joke", ref=ref, user=alice).version.number == 1


@pytest.mark.parametrize(
    "ref",
    ["2", "0", "staging", "", "Production", "x\n", "production\n", "\x00", "\ud800", "٣", "9" * 40, "a b"],
)
def test_what_no_version_is_called_is_not_found(alice, joke, ref):
    with pytest.raises(ChainNotFound):
        find(slug="joke", ref=ref, user=alice)


@pytest.mark.parametrize(
    "slug", ["jokes", "", "JOKE", "joke\n", "joke\x00", "\ud800", "j" * 65, "' OR 1=1 --"]
)
def test_what_no_chain_is_called_is_not_found(alice, joke, slug):
    with pytest.raises(ChainNotFound):
        find(slug=slug, ref="production", user=alice)


def test_a_chain_that_was_never_published_has_no_production(alice, demo):
    Chain.objects.create(slug="draft")

    for ref in ("production", "latest"):
        with pytest.raises(ChainNotFound):
            find(slug="draft", ref=ref, user=alice)


def test_a_disabled_chain_is_not_there_for_anybody(alice, root, joke):
    joke.enabled = False
    joke.save()

    for user in (alice, root):
        with pytest.raises(ChainNotFound):
            find(slug="joke", ref="production", user=user)


def test_a_chain_for_groups_is_there_for_its_members_and_editors(alice, bob, staff, root, joke):
    joke.access = Chain.Access.GROUPS
    joke.save()
    joke.groups.add(Group.objects.create(name="writers"))
    alice.groups.add(Group.objects.get(name="writers"))

    for user in (alice, staff, root):
        assert find(slug="joke", ref="1", user=user)
    with pytest.raises(ChainNotFound):
        find(slug="joke", ref="1", user=bob)


def test_nobody_and_the_inactive_see_no_chain(alice, joke):
    alice.is_active = False
    for user in (alice, None):
        with pytest.raises(ChainNotFound):
            find(slug="joke", ref="1", user=user)


def test_every_reason_looks_the_same(alice, joke):
    Chain.objects.create(slug="off", enabled=False)
    messages = set()
    for slug, ref in (("none", "1"), ("off", "1"), ("joke", "9"), ("joke", "staging"), ("joke", "\x00")):
        with pytest.raises(ChainNotFound) as caught:
            find(slug=slug, ref=ref, user=alice)
        messages.add((str(caught.value), type(caught.value)))

    assert len(messages) == 1


def test_a_plan_follows_the_prompts_label_as_it_stands(alice, joke):
    before = resolve(slug="joke", user=alice)[1]
    add_prompt("joke", "Now about {topic}")
    after = resolve(slug="joke", user=alice)[1]

    assert (dict(before.prompts), dict(after.prompts)) == ({"joke": 1}, {"joke": 2})
    assert before.digest != after.digest
    assert before.version == after.version == 1


def test_a_prompt_may_be_held_to_a_version(alice, demo):
    add_prompt("joke")
    add_chain("held", step() | {"prompt": {"slug": "joke", "ref": "1"}})
    add_prompt("joke", "Now about {topic}")

    assert dict(resolve(slug="held", user=alice)[1].prompts) == {"joke": 1}


def test_the_run_limit_is_the_chains_or_the_most_patient_providers(alice, demo):
    add_prompt("joke")
    Provider.objects.create(slug="patient", kind="demo", run_timeout_s=500)
    add_chain("own", step(), timeouts={"run_s": 7})
    add_chain("theirs", step(), fallbacks=[{"provider": "patient", "model": "demo-echo"}])

    limits = [resolve(slug=slug, user=alice)[1].run_timeout_s for slug in ("own", "theirs")]
    assert limits == [7, 500]


def test_a_price_is_the_providers_own_and_valid_today(alice, joke):
    demo, other = Provider.objects.get(slug="demo"), Provider.objects.create(slug="other", kind="demo")
    tomorrow = timezone.now() + timezone.timedelta(days=1)
    for provider, price, valid_from in ((demo, 1, None), (other, 2, None), (demo, 3, tomorrow)):
        when = {"valid_from": valid_from} if valid_from else {}
        Price.objects.create(provider=provider, model="demo-echo", input_usd=price, output_usd=price, **when)

    assert resolve(slug="joke", user=alice)[1].steps[0].targets[0].price.input_usd == Decimal(1)


LACKS = {
    "no provider": (lambda: Provider.objects.all().delete(), "There is no provider 'demo'."),
    "switched off": (
        lambda: Provider.objects.update(enabled=False),
        "The provider 'demo' is switched off.",
    ),
    "no prompt": (lambda: Prompt.objects.all().delete(), "Step 'answer': there is no prompt 'joke'."),
    "not published": (
        lambda: Prompt.objects.get().labels.all().delete(),
        "Step 'answer': the prompt 'joke' has no 'production' version yet.",
    ),
}


@pytest.mark.parametrize("case", LACKS)
def test_what_lacks_is_named(alice, joke, case):
    spoil, message = LACKS[case]
    spoil()

    with pytest.raises(InvalidSpec) as caught:
        find(slug="joke", user=alice).plan()

    assert str(caught.value).startswith(message)


def test_two_prompts_that_disagree_are_found_before_they_run(alice, demo):
    add_prompt("text")
    add_prompt("number", variables=[{"name": "topic", "type": "integer"}])
    add_chain("odd", step("text", name="one"), step("number"))

    with pytest.raises(InvalidSpec, match="different types"):
        find(slug="odd", user=alice).plan()


def test_a_plan_takes_few_queries(alice, joke, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        find(slug="joke", user=alice).plan()
