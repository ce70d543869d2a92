"""A plan: what it asks of its caller, and what identifies it."""

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from pydantic import SecretStr

from chains.runtime.errors import InvalidInput, InvalidSpec
from chains.runtime.pricing import Price
from chains.runtime.steps.base import ANY, PlannedStep
from tests.runtime.helpers import plan, prompt, step, target


def test_what_an_earlier_step_gives_is_not_asked_for():
    article = plan(step(name="outline"), step(asks="{outline} {topic} {style}"))

    assert list(article.input_schema["properties"]) == ["topic", "style"]
    assert article.input_schema["required"] == ["topic", "style"]


def test_an_input_that_a_later_step_also_gives_is_asked_for():
    assert list(plan(step(name="topic"), step()).input_schema["properties"]) == ["topic"]


def test_a_step_does_not_see_its_own_output_or_a_later_one():
    schema = plan(step(name="a", asks="{a} {b}"), step(name="b", asks="{a}")).input_schema

    assert schema["required"] == ["a", "b"]


def test_an_input_is_required_where_any_step_needs_it():
    optional = prompt("{topic}", variables=({"name": "topic", "default": "cats"},))
    schema = plan(step(name="one", asks=optional), step()).input_schema

    assert schema["required"] == ["topic"]
    assert schema["properties"]["topic"]["default"] == "cats"


def test_nothing_is_required_of_a_prompt_without_variables():
    assert "required" not in plan(step(asks="Hello")).input_schema


def test_two_types_for_one_name_are_refused():
    number = prompt("{topic}", variables=({"name": "topic", "type": "integer"},))

    with pytest.raises(InvalidSpec, match="'topic' with different types"):
        _ = plan(step(name="one"), step(asks=number)).input_schema


def test_a_text_and_a_list_of_messages_are_two_types():
    with pytest.raises(InvalidSpec, match="'topic' with different types"):
        _ = plan(step(name="one"), step(asks=prompt({"placeholder": "topic"}))).input_schema


def test_the_last_steps_parser_says_what_comes_out():
    assert plan(step(name="one"), step(parser="list")).output_schema["type"] == "array"


BASE = step(target(), asks="{topic}", temperature=0.5)
CHANGES = {
    "the prompt": replace(BASE, prompt=prompt("About {topic}")),
    "a variable": replace(BASE, prompt=prompt("{topic}", variables=({"name": "topic", "type": "text"},))),
    "the model": replace(BASE, targets=(target(model="demo-coach"),)),
    "the provider": replace(BASE, targets=(target(slug="other"),)),
    "the endpoint": replace(BASE, targets=(target(base_url="http://elsewhere"),)),
    "a fallback": replace(BASE, targets=(target(), target())),
    "the temperature": replace(BASE, params=BASE.params.model_copy(update={"temperature": 0.6})),
    "a further parameter": replace(BASE, params=BASE.params.model_copy(update={"extra": {"words": 3}})),
    "the parser": replace(BASE, parser=step(parser="json").parser),
    "the name": replace(BASE, name="other"),
}
NO_CHANGES = {
    "the key": replace(BASE, targets=(target(api_key=SecretStr("sk-another")),)),
    "a limit": replace(BASE, targets=(target(first_token_s=1, max_concurrency=3),)),
    "the price": replace(BASE, targets=(target(price=Price(input_usd=Decimal(1), output_usd=Decimal(1))),)),
    "the prompt's name and number": replace(BASE, prompt_slug="other", prompt_version=9),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_what_shapes_the_answer(change):
    assert plan(CHANGES[change]).digest != plan(BASE).digest


@pytest.mark.parametrize("change", NO_CHANGES)
def test_the_digest_does_not_change_with_what_does_not_shape_the_answer(change):
    assert plan(NO_CHANGES[change], run_timeout_s=1).digest == plan(BASE).digest


def test_models_do_not_serve_again_for_another_key():
    assert NO_CHANGES["the key"].model.key != BASE.model.key


def test_the_order_of_steps_counts():
    one, two = replace(BASE, name="one"), replace(BASE, name="two")
    assert plan(one, two).digest != plan(two, one).digest


def test_the_versions_of_prompts_are_named():
    one, two = replace(BASE, prompt_slug="a", prompt_version=3), replace(BASE, name="two", prompt_slug="b")

    assert plan(one, two).prompts == {"a": 3, "b": 1}


def test_two_versions_of_one_prompt_are_both_named():
    steps = [
        replace(BASE, name=name, prompt_slug="a", prompt_version=n)
        for name, n in zip("xyz", (3, 2, 3), strict=True)
    ]

    assert plan(*steps).prompts == {"a": 3, "a (y)": 2}


def test_a_plan_does_not_show_its_key():
    assert "CANARY" not in repr(plan(BASE)) + BASE.model.key


# --- Input -------------------------------------------------------------------------------------

TYPED = plan(
    step(
        asks=prompt(
            "{text} {count} {ratio} {loud} {tone}",
            {"placeholder": "history", "optional": True},
            variables=(
                {"name": "count", "type": "integer", "default": 3},
                {"name": "ratio", "type": "number", "default": 0.5},
                {"name": "loud", "type": "boolean", "default": False},
                {"name": "tone", "type": "choice", "choices": ["warm", "cold"], "default": "warm"},
            ),
        )
    )
)


def test_defaults_are_filled_in_and_unknown_keys_are_dropped():
    checked = TYPED.check_input({"text": "x", "count": 4, "api_key": "sk", "base_url": "http://x"}).data

    assert checked == {"text": "x", "count": 4, "ratio": 0.5, "loud": False, "tone": "warm"}


@pytest.mark.parametrize(
    ("value", "kind", "loc"),
    [
        ({}, "missing", ["text"]),
        (None, "object_type", []),
        ([], "object_type", []),
        ("x", "object_type", []),
        ({"text": 3}, "string_type", ["text"]),
        ({"text": None}, "string_type", ["text"]),
        ({"text": "x", "count": "4"}, "integer_type", ["count"]),
        ({"text": "x", "count": True}, "integer_type", ["count"]),
        ({"text": "x", "count": 1.5}, "integer_type", ["count"]),
        ({"text": "x", "ratio": "1"}, "number_type", ["ratio"]),
        ({"text": "x", "loud": 1}, "boolean_type", ["loud"]),
        ({"text": "x", "tone": "loud"}, "enum", ["tone"]),
        ({"text": "x", "history": "hi"}, "array_type", ["history"]),
        ({"text": "x", "history": [{}]}, "missing", ["history", 0, "type"]),
        ({"text": "x", "history": [{"type": "human", "content": "a"}, 3]}, "object_type", ["history", 1]),
        ({"text": "x", "history": [{"type": "system", "content": "a"}]}, "enum", ["history", 0, "type"]),
        ({"text": "x", "history": [{"type": "ai", "content": 3}]}, "string_type", ["history", 0, "content"]),
    ],
)
def test_an_input_that_does_not_fit_is_refused_naming_the_field(value, kind, loc):
    with pytest.raises(InvalidInput) as caught:
        TYPED.check_input(value)

    first = caught.value.errors[0]
    assert (first["type"], first["loc"]) == (kind, loc)
    assert first["msg"]


def test_every_missing_field_is_named_once():
    with pytest.raises(InvalidInput) as caught:
        plan(step(asks="{a} {ab} {abc}")).check_input({"ab": "x"})

    assert [error["loc"] for error in caught.value.errors] == [["a"], ["abc"]]


def test_at_most_20_faults_are_listed():
    with pytest.raises(InvalidInput) as caught:
        plan(step(asks="".join(f"{{v{i}}}" for i in range(30)))).check_input({})

    assert len(caught.value.errors) == 20


def test_a_list_of_messages_has_at_most_1000():
    message = {"type": "human", "content": "x"}

    assert len(TYPED.check_input({"text": "x", "history": [message] * 1000}).data["history"]) == 1000
    with pytest.raises(InvalidInput):
        TYPED.check_input({"text": "x", "history": [message] * 1001})


# --- Steps inside steps, and inputs of any type ------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Around(PlannedStep):
    """A step with others inside it."""

    kind = "around"
    inside: tuple[PlannedStep, ...]

    @property
    def children(self):
        return self.inside

    def inputs(self, *, system_messages):
        return {"topic": (ANY, True)}


def test_a_plan_knows_the_steps_inside_its_steps():
    inner = replace(BASE, name="inner", prompt_slug="hidden", prompt_version=4)
    nested = plan(Around(name="outer", inside=(Around(name="middle", inside=(inner,)),)), BASE)

    assert [s.name for s in nested.every_step] == ["outer", "middle", "inner", BASE.name]
    assert nested.prompts == {"hidden": 4, BASE.prompt_slug: 1}


def typed(**variable):
    return step(asks=prompt("{topic}", variables=({"name": "topic", **variable},)))


@pytest.mark.parametrize("any_first", [True, False])
def test_a_step_that_takes_any_value_takes_the_type_that_another_step_asks_for(any_first):
    steps = [Around(name="outer", inside=()), typed(type="integer")]

    schema = plan(*(steps if any_first else reversed(steps))).input_schema

    assert schema["properties"]["topic"]["type"] == "integer"
    assert schema["required"] == ["topic"]


@pytest.mark.parametrize("any_first", [True, False])
def test_a_step_that_takes_any_value_takes_the_default_of_another_step(any_first):
    steps = [Around(name="outer", inside=()), typed(type="integer", default=7)]

    schema = plan(*(steps if any_first else reversed(steps))).input_schema

    assert schema["properties"]["topic"]["default"] == 7
    assert "required" not in schema


def test_what_only_a_step_of_any_value_asks_for_is_a_required_text():
    schema = plan(Around(name="outer", inside=())).input_schema

    assert (schema["properties"]["topic"]["type"], schema["required"]) == ("string", ["topic"])


def test_what_may_be_absent_elsewhere_is_required_by_a_step_that_needs_it():
    optional = step(asks=prompt({"placeholder": "topic", "optional": True}, "Hi"))

    assert plan(optional, Around(name="outer", inside=())).input_schema["required"] == ["topic"]
