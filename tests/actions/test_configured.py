"""What callers may choose of a configured chain, from what they send to the plan that runs."""

import pytest

from chains.actions.chains import publish_chain_version
from chains.actions.find import resolve
from chains.models import Chain, Provider
from chains.runtime.errors import InvalidInput, InvalidSpec
from chains.runtime.spec.chain import parse_spec
from tests.conftest import add_chain, add_prompt, step

MODEL = {"field": "model", "name": "model", "step": "answer", "choices": ["demo-lorem"]}
HEAT = {"field": "temperature", "name": "heat", "step": "answer", "minimum": 0.1, "maximum": 0.9}
LENGTH = {"field": "max_tokens", "name": "length", "step": "answer", "maximum": 9}
TONE = {"field": "prompt", "name": "tone", "step": "answer", "choices": {"formal": {"slug": "formal"}}}
ENGINE = {
    "field": "step",
    "name": "engine",
    "step": "answer",
    "choices": {"data": {"parser": {"kind": "json"}}, "second": {"provider": "second", "model": "other"}},
}


@pytest.fixture
def open_joke(demo) -> Chain:
    """Everything about its one step may be chosen."""
    Provider.objects.create(slug="second", kind="demo")
    add_prompt("joke")
    add_prompt("formal", "Sir, {topic} {place}")
    return add_chain("joke", step(), configurable=[MODEL, HEAT, LENGTH, TONE, ENGINE])


def plan(user, **chosen):
    return resolve(slug="joke", user=user, config={"configurable": chosen})[1]


def refused(user, configurable) -> list:
    """The place that the refusal names."""
    with pytest.raises(InvalidInput) as raised:
        resolve(slug="joke", user=user, config={"configurable": configurable})
    return next(fault["loc"] for fault in raised.value.errors)


def test_what_is_chosen_is_what_runs(alice, open_joke):
    (chosen,) = plan(alice, model="demo-lorem", heat=0.9, length=3, tone="formal").steps

    assert chosen.targets[0].model == "demo-lorem"
    assert (chosen.params.temperature, chosen.params.max_tokens) == (0.9, 3)
    assert (chosen.prompt_slug, chosen.prompt_version) == ("formal", 1)


def test_another_prompt_asks_for_another_input(alice, open_joke):
    assert set(plan(alice).input_schema["properties"]) == {"topic"}
    assert set(plan(alice, tone="formal").input_schema["properties"]) == {"topic", "place"}


def test_another_step_gives_another_output(alice, open_joke):
    assert plan(alice).output_schema["type"] == "string"
    assert plan(alice, engine="data").output_schema != plan(alice).output_schema
    assert plan(alice, engine="second").steps[0].targets[0].provider.slug == "second"


def test_each_choice_is_a_behaviour_of_its_own(alice, open_joke):
    choices = [
        {},
        {"model": "demo-lorem"},
        {"heat": 0.9},
        {"length": 3},
        {"tone": "formal"},
        {"engine": "data"},
        {"engine": "second"},
    ]

    plans = [plan(alice, **choice) for choice in choices]

    assert len({p.digest for p in plans}) == len(choices)


def test_choosing_the_default_is_choosing_nothing(alice, open_joke):
    default = plan(alice, model="demo-echo", tone="default", engine="default")

    assert default.digest == plan(alice).digest


@pytest.mark.parametrize("configurable", [None, {}, {"unknown": 1}, {"base_url": "http://10.0.0.1"}])
def test_names_that_the_chain_does_not_know_are_dropped(alice, open_joke, configurable):
    _, chosen = resolve(slug="joke", user=alice, config={"configurable": configurable})

    assert chosen == plan(alice)
    assert chosen.configurable == {}


@pytest.mark.parametrize(
    ("configurable", "loc"),
    [
        ({"model": "gpt"}, ["configurable", "model"]),
        ({"heat": 2}, ["configurable", "heat"]),
        ({"heat": "hot"}, ["configurable", "heat"]),
        ({"length": 0}, ["configurable", "length"]),
        ({"tone": "joke"}, ["configurable", "tone"]),
        ({"engine": 3}, ["configurable", "engine"]),
        (3, ["configurable"]),
        ([], ["configurable"]),
        ("x", ["configurable"]),
    ],
)
def test_what_is_not_offered_is_refused_by_its_name(alice, open_joke, configurable, loc):
    assert refused(alice, configurable) == loc


@pytest.mark.parametrize("configurable", [{"model": "x"}, 3, [], "x"])
def test_a_chain_that_offers_nothing_drops_the_key_whatever_it_holds(alice, joke, configurable):
    _, chosen = resolve(slug="joke", user=alice, config={"configurable": configurable})

    assert chosen.configurable == {}


def test_a_chain_that_does_not_allow_its_own_choices_says_so(alice, open_joke):
    Chain.objects.update(config_keys=["tags"])

    with pytest.raises(InvalidInput, match="configure nothing"):
        plan(alice, model="demo-lorem")
    assert plan(alice).configurable == {}


def test_neither_endpoint_nor_credential_can_be_chosen(alice, open_joke):
    config = {"base_url": "http://evil", "api_key": "sk-mine", "provider": {"base_url": "http://evil"}}
    usual = plan(alice).steps

    _, chosen = resolve(slug="joke", user=alice, config=config | {"configurable": config})

    assert chosen.steps == usual


def test_the_config_schema_shows_the_choices(alice, open_joke):
    shown = plan(alice).config_schema["$defs"]["Configurable"]["properties"]

    assert set(shown) == {"model", "heat", "length", "tone", "engine"}


# --- Publishing --------------------------------------------------------------------------------


def draft(*options: dict):
    chain = Chain.objects.get(slug="joke")
    return chain.save_spec(parse_spec({"steps": [step()], "configurable": list(options)}), author=None)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({**TONE, "choices": {"rude": {"slug": "rude"}}}, "With 'tone' set to 'rude': .*'rude'"),
        (
            {**TONE, "choices": {"old": {"slug": "joke", "ref": "7"}}},
            "With 'tone' set to 'old': .*'7'",
        ),
        (
            {**ENGINE, "choices": {"x": {"provider": "gone"}}},
            "With 'engine' set to 'x': .*'gone'",
        ),
        (
            {**ENGINE, "choices": {"x": {"params": {"extra": {"base_url": "http://10.0.0.1"}}}}},
            "With 'engine' set to 'x': .*base_url",
        ),
    ],
)
def test_a_version_whose_alternative_cannot_run_is_not_published(joke, alice, option, says):
    version = draft(option)

    with pytest.raises(InvalidSpec, match=says):
        publish_chain_version(version=version, by=alice)

    assert joke.at("production").number == 1


def test_a_version_whose_alternatives_run_is_published(open_joke, alice):
    version = draft(MODEL, TONE, ENGINE)

    assert publish_chain_version(version=version, by=alice)


def test_alternatives_that_nobody_may_choose_need_not_run(joke, alice):
    Chain.objects.update(config_keys=[])
    joke.refresh_from_db()

    assert publish_chain_version(version=draft({**TONE, "choices": {"x": {"slug": "gone"}}}), by=alice)
