"""Publishing prompts and chains."""

import pytest
from django.core.exceptions import ValidationError

from chains.actions.chains import publish_chain_version
from chains.actions.prompts import chains_served_by, publish_prompt_version
from chains.models import Chain, LabelMove, Prompt, Provider
from chains.runtime.errors import InvalidSpec
from chains.runtime.spec.chain import parse_spec
from chains.runtime.steps.prompts import PromptSpec


@pytest.fixture
def prompt(alice):
    prompt = Prompt.objects.create(slug="joke")
    for text in ("Tell a joke about {topic}.", "Two jokes about {topic}."):
        prompt.save_spec(
            PromptSpec.model_validate({"messages": [{"role": "human", "content": text}]}), author=alice
        )
    return prompt


@pytest.fixture
def comedian(alice, prompt):
    Provider.objects.create(slug="demo", kind="demo")
    chain = Chain.objects.create(slug="comedian")
    step = {"name": "answer", "prompt": {"slug": "joke"}, "provider": "demo", "model": "demo-echo"}
    chain.save_spec(parse_spec({"steps": [step]}), author=alice)
    return chain


def moves_of(versioned):
    rows = LabelMove.objects.of(versioned).order_by("pk")
    return [(row.label, row.from_number, row.to_number, row.by.username) for row in rows]


def test_publishing_and_rolling_back_move_production_and_are_recorded(prompt, alice):
    publish_prompt_version(version=prompt.at("2"), by=alice)
    publish_prompt_version(version=prompt.at("1"), by=alice)

    assert prompt.at("production").number == 1
    assert moves_of(prompt) == [("production", None, 2, "alice"), ("production", 2, 1, "alice")]


def test_publishing_what_is_published_moves_nothing(prompt, alice):
    assert publish_prompt_version(version=prompt.at("2"), by=alice) is True
    assert publish_prompt_version(version=prompt.at("2"), by=alice) is False
    assert len(moves_of(prompt)) == 1


@pytest.mark.parametrize("label", ["latest", "3", "Not a label", "", "x" * 65])
def test_a_label_that_cannot_be_is_refused(prompt, comedian, alice, label):
    with pytest.raises(ValidationError):
        publish_prompt_version(version=prompt.at("1"), by=alice, label=label)
    with pytest.raises(ValidationError):
        publish_chain_version(version=comedian.at("1"), by=alice, label=label)
    assert not LabelMove.objects.exists()


def test_a_chain_whose_prompt_is_not_published_is_refused(comedian, alice):
    with pytest.raises(InvalidSpec, match="the prompt 'joke' has no 'production' version yet"):
        publish_chain_version(version=comedian.at("1"), by=alice)
    assert moves_of(comedian) == []


@pytest.mark.parametrize(("kind", "extra"), [("demo", {"delay_ms": "long"}), ("openai", {"top_p": "high"})])
def test_a_chain_whose_parameters_are_of_the_wrong_type_is_refused(comedian, prompt, alice, kind, extra):
    Provider.objects.update(kind=kind)
    publish_prompt_version(version=prompt.at("1"), by=alice)
    step = {**comedian.latest().spec["steps"][0], "params": {"extra": extra}}
    version = comedian.save_spec(parse_spec({"steps": [step]}), author=alice)

    with pytest.raises(InvalidSpec, match=next(iter(extra))):
        publish_chain_version(version=version, by=alice)
    assert moves_of(comedian) == []


def test_a_chain_is_published_once_its_prompt_is(comedian, prompt, alice):
    publish_prompt_version(version=prompt.at("1"), by=alice)

    publish_chain_version(version=comedian.at("1"), by=alice)

    assert comedian.at("production").number == 1
    assert moves_of(comedian) == [("production", None, 1, "alice")]


def test_a_prompt_knows_the_published_chains_that_follow_its_label(comedian, prompt, alice):
    assert chains_served_by(prompt=prompt, label="production") == []

    publish_prompt_version(version=prompt.at("1"), by=alice)
    publish_chain_version(version=comedian.at("1"), by=alice)

    assert chains_served_by(prompt=prompt, label="production") == [comedian]
    assert chains_served_by(prompt=prompt, label="staging") == []


@pytest.mark.parametrize(
    "option",
    [
        {"field": "prompt", "choices": {"short": {"slug": "joke", "ref": "2"}}},
        {"field": "step", "choices": {"same": {}, "short": {"prompt": {"slug": "joke", "ref": "2"}}}},
    ],
)
def test_a_prompt_knows_the_chains_whose_callers_may_choose_it(comedian, prompt, alice, option):
    publish_prompt_version(version=prompt.at("1"), by=alice)
    spec = comedian.latest().spec | {"configurable": [{"name": "style", "step": "answer", **option}]}
    publish_chain_version(version=comedian.save_spec(parse_spec(spec), author=alice), by=alice)

    assert chains_served_by(prompt=prompt, label="2") == [comedian]
    assert chains_served_by(prompt=prompt, label="production") == [comedian]
    assert chains_served_by(prompt=prompt, label="1") == []
