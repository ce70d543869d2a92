"""What callers may choose of a chain: as schema, and applied to its steps."""

import pytest

from chains.runtime.errors import InvalidSpec
from chains.runtime.spec.chain import Spec, parse_spec
from chains.runtime.spec.options import configured, every_choice, options_schema
from chains.runtime.wire.fielderrors import schema_faults

STEP = {
    "name": "answer",
    "prompt": {"slug": "joke"},
    "provider": "demo",
    "model": "demo-echo",
    "params": {"temperature": 0.5, "extra": {"delay_ms": 0}},
}
OTHER = {**STEP, "name": "other", "params": {}}

MODEL = {"field": "model", "name": "model", "step": "answer", "choices": ["big", "small"]}
TEMPERATURE = {"field": "temperature", "name": "heat", "step": "answer", "minimum": 0.1, "maximum": 0.9}
MAX_TOKENS = {"field": "max_tokens", "name": "length", "step": "answer", "minimum": 2, "maximum": 9}
PROMPT = {"field": "prompt", "name": "tone", "step": "answer", "choices": {"formal": {"slug": "formal"}}}
WHOLE = {
    "field": "step",
    "name": "engine",
    "step": "answer",
    "choices": {
        "fast": {"provider": "openai", "model": "mini", "params": {"temperature": 0}},
        "other_words": {"prompt": {"slug": "formal", "ref": "staging"}},
        "data": {"parser": {"kind": "json"}},
    },
}


def spec(*options: dict, steps: tuple = (STEP, OTHER)) -> Spec:
    return parse_spec({"steps": list(steps), "configurable": list(options)})


def properties(*options: dict) -> dict:
    parsed = spec(*options)
    return options_schema(parsed.configurable, parsed.steps)["properties"]


def apply(*options: dict, **values: object):
    """The two steps as the values make them."""
    parsed = spec(*options)
    return configured(parsed.steps, parsed.configurable, values)


# --- The schema --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "schema"),
    [
        (
            MODEL,
            {
                "title": "Model",
                "type": "string",
                "enum": ["demo-echo", "big", "small"],
                "default": "demo-echo",
            },
        ),
        (TEMPERATURE, {"title": "Heat", "type": "number", "minimum": 0.1, "maximum": 0.9, "default": 0.5}),
        (MAX_TOKENS, {"title": "Length", "type": "integer", "minimum": 2, "maximum": 9}),
        (PROMPT, {"title": "Tone", "type": "string", "enum": ["default", "formal"], "default": "default"}),
        (
            WHOLE,
            {
                "title": "Engine",
                "type": "string",
                "enum": ["default", "fast", "other_words", "data"],
                "default": "default",
            },
        ),
    ],
    ids=lambda value: value.get("field"),
)
def test_the_schema_says_what_may_be_chosen_and_what_is_otherwise(option, schema):
    assert properties(option) == {option["name"]: schema}


def test_a_description_is_told():
    assert properties({**MODEL, "description": "Who answers"})["model"]["description"] == "Who answers"


def test_the_model_of_the_step_itself_is_one_of_the_choices_once():
    assert properties({**MODEL, "choices": ["big", "demo-echo"]})["model"]["enum"] == ["demo-echo", "big"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": "big", "heat": 0.1, "length": 9, "tone": "formal", "engine": "fast"},
        {"model": "demo-echo", "heat": 0.9, "length": 2, "tone": "default", "engine": "default"},
        {"heat": 0.5, "unknown": {"any": "thing"}},
    ],
)
def test_what_is_offered_fits_the_schema(values):
    parsed = spec(MODEL, TEMPERATURE, MAX_TOKENS, PROMPT, WHOLE)

    assert schema_faults(options_schema(parsed.configurable, parsed.steps), values) == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"model": "huge"}, "enum"),
        ({"model": 3}, "enum"),
        ({"heat": 0.05}, "greater_than_equal"),
        ({"heat": 0.95}, "less_than_equal"),
        ({"heat": "0.5"}, "number_type"),
        ({"heat": True}, "number_type"),
        ({"heat": None}, "number_type"),
        ({"length": 1}, "greater_than_equal"),
        ({"length": 10}, "less_than_equal"),
        ({"length": 2**62}, "less_than_equal"),
        ({"length": 2.5}, "integer_type"),
        ({"tone": "rude"}, "enum"),
        ({"tone": ["formal"]}, "enum"),
        ({"engine": "Fast"}, "enum"),
        ({"engine": {"provider": "openai"}}, "enum"),
    ],
)
def test_what_is_not_offered_is_told_by_its_name(values, kind):
    parsed = spec(MODEL, TEMPERATURE, MAX_TOKENS, PROMPT, WHOLE)

    faults = schema_faults(options_schema(parsed.configurable, parsed.steps), values)

    assert {(fault["type"], *fault["loc"]) for fault in faults} >= {(kind, *values)}
    assert all(fault["loc"] == list(values) for fault in faults)


# --- Applied -----------------------------------------------------------------------------------


def test_a_model_is_chosen_for_its_step_only():
    answer, other = apply(MODEL, model="big")

    assert (answer.model, other.model) == ("big", "demo-echo")
    assert answer.model_copy(update={"model": "demo-echo"}) == spec().steps[0]


def test_a_parameter_changes_and_the_others_stay():
    answer, _ = apply(TEMPERATURE, MAX_TOKENS, heat=0.9, length=3.0)

    assert answer.params.model_dump() == {"temperature": 0.9, "max_tokens": 3, "extra": {"delay_ms": 0}}
    assert isinstance(answer.params.max_tokens, int)


def test_a_prompt_is_chosen_by_its_name():
    answer, _ = apply(PROMPT, tone="formal")

    assert (answer.prompt.slug, answer.prompt.ref) == ("formal", "production")


def test_an_alternative_step_replaces_the_parts_that_it_names():
    answer, other = apply(WHOLE, engine="fast")

    assert (answer.provider, answer.model, answer.params.temperature) == ("openai", "mini", 0)
    assert (answer.prompt, answer.parser, answer.name) == (
        spec().steps[0].prompt,
        spec().steps[0].parser,
        "answer",
    )
    assert other == spec().steps[1]


@pytest.mark.parametrize(("option", "name"), [(PROMPT, "tone"), (WHOLE, "engine")])
def test_default_means_the_steps_own(option, name):
    assert apply(option, **{name: "default"}) == spec().steps


def test_what_is_not_chosen_stays():
    assert apply(MODEL, TEMPERATURE, MAX_TOKENS, PROMPT, WHOLE) == spec().steps


def test_other_choices_apply_to_the_alternative_step_whichever_is_declared_first():
    for options in ((TEMPERATURE, PROMPT, WHOLE), (WHOLE, PROMPT, TEMPERATURE)):
        answer, _ = apply(*options, heat=0.9, engine="fast", tone="formal")

        assert (answer.provider, answer.params.temperature, answer.prompt.slug) == ("openai", 0.9, "formal")


def test_each_choice_that_leads_to_other_records_is_checked():
    assert every_choice(spec(MODEL, TEMPERATURE, MAX_TOKENS, PROMPT, WHOLE).configurable) == [
        {"model": "big"},
        {"model": "small"},
        {"tone": "formal"},
        {"engine": "fast"},
        {"engine": "other_words"},
        {"engine": "data"},
    ]


# --- What cannot be declared -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([MODEL, {**TEMPERATURE, "name": "model"}], "same name"),
        ([{**MODEL, "step": "third"}], "there is no step 'third'"),
        ([{**PROMPT, "choices": {"default": {"slug": "x"}}}], "'default' means the step's own"),
        ([{**WHOLE, "choices": {"default": {}}}], "'default' means the step's own"),
        ([{**TEMPERATURE, "minimum": 1, "maximum": 0.5}], "minimum is above the maximum"),
        ([{**MAX_TOKENS, "minimum": 10}], "minimum is above the maximum"),
        ([{**TEMPERATURE, "maximum": 3}], "maximum"),
        ([{**MAX_TOKENS, "minimum": 0}], "minimum"),
        ([{**MODEL, "choices": []}], "choices"),
        ([{**PROMPT, "choices": {}}], "choices"),
        ([{**PROMPT, "choices": {"a b": {"slug": "x"}}}], "choices"),
        ([{**MODEL, "name": "a b"}], "name"),
        ([{**MODEL, "default": "big"}], "default"),
        ([{**MODEL, "field": "base_url"}], "field"),
        ([{**MODEL, "field": "api_key"}], "field"),
        ([{**WHOLE, "choices": {"x": {"base_url": "http://10.0.0.1"}}}], "base_url"),
        ([{**WHOLE, "choices": {"x": {"api_key": "sk-mine"}}}], "api_key"),
        ([{**WHOLE, "choices": {"x": {"name": "other"}}}], "name"),
        ([MODEL | {"name": f"n{i}"} for i in range(21)], "configurable"),
    ],
)
def test_what_cannot_be_offered_is_refused_when_it_is_written(options, says):
    with pytest.raises(InvalidSpec, match=says):
        spec(*options)


def test_a_model_may_be_called_default():
    assert properties({**MODEL, "choices": ["default"]})["model"]["enum"] == ["demo-echo", "default"]
