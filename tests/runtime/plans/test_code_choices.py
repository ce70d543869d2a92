"""What callers may choose of a chain in code, and what identifies it then."""

import enum
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import (
    ConfigurableField,
    ConfigurableFieldMultiOption,
    Runnable,
    RunnableLambda,
    RunnablePassthrough,
)

from chains.runtime.errors import InvalidInput
from chains.runtime.plans.code import checked_configurable
from chains.runtime.registry import Registered
from tests.runtime.helpers import code, run

pytestmark = pytest.mark.usefixtures("registry")

ANYTHING: Runnable = RunnablePassthrough()


class Speaker(GenericFakeChatModel):
    """A model with something to choose, and something that nobody may."""

    messages: Any = None
    volume: int = 1
    words: list[str] = ["a"]
    api_key: str = "sk-CANARY"
    base_url: str = "http://own"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        said = f"{self.volume} {self.words} {self.api_key} {self.base_url}"
        return GenericFakeChatModel(messages=iter([AIMessage(said)]))._generate(messages)


def speaker() -> Runnable:
    return Speaker().configurable_fields(
        volume=ConfigurableField(id="volume", name="Volume", annotation=int),
        words=ConfigurableFieldMultiOption(id="words", options={"x": "ex", "y": "why"}, default=["x"]),
        api_key=ConfigurableField(id="openai_api_key", annotation=str),
        base_url=ConfigurableField(id="openai_api_base", annotation=str),
    )


def case() -> Runnable:
    return RunnablePassthrough().configurable_alternatives(
        ConfigurableField(id="case"), default_key="as_it_is", lower=RunnableLambda(str.lower)
    )


def entry_of(runnable: Any, **options: Any) -> Registered:
    return code(runnable, **options).entry


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        (None, {}),
        ({}, {}),
        ({"volume": 3}, {"volume": 3}),
        ({"volume": "3"}, {"volume": 3}),
        ({"words": ["y"]}, {"words": ["y"]}),
        ({"volume": 3, "unknown": {"any": "thing"}}, {"volume": 3}),
    ],
)
def test_what_the_runnable_declares_may_be_chosen_and_other_names_are_dropped(given, checked):
    assert checked_configurable(entry_of(speaker()), given) == checked


@pytest.mark.parametrize("name", ["openai_api_key", "openai_api_base"])
async def test_endpoints_and_credentials_are_never_chosen_though_they_are_declared(name):
    plan = code(speaker(), chosen={name: "http://evil", "volume": 2})

    ran = await run(plan, "hi", config={"configurable": dict(plan.configurable)})

    assert plan.configurable == {"volume": 2}
    assert ran.output.content == "2 ['ex'] sk-CANARY http://own"
    assert name not in plan.config_schema["$defs"]["Configurable"]["properties"]
    assert "CANARY" not in str(plan.config_schema)


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "openai_api_key",
        "apiKey",
        "llm==big/openai_api_key",
        "base_url",
        "openai_api_base",
        "azure_endpoint",
        "default_headers",
        "openai_proxy",
        "http_async_client",
        "client_secret",
        "password",
        "organization",
        "aws_credentials",
        "access_token",
        "api_token",
    ],
)
def test_by_any_such_name_it_is_never_chosen(name):
    runnable = Speaker().configurable_fields(base_url=ConfigurableField(id=name, annotation=str))

    assert checked_configurable(entry_of(runnable), {name: "x"}) == {}


@pytest.mark.parametrize("name", ["max_tokens", "author", "keyword", "token_count"])
def test_a_name_that_only_sounds_like_one_may_be_chosen(name):
    runnable = Speaker().configurable_fields(base_url=ConfigurableField(id=name, annotation=str))

    assert checked_configurable(entry_of(runnable), {name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("given", "loc"),
    [
        ({"volume": "loud"}, ["configurable", "volume"]),
        ({"volume": [3]}, ["configurable", "volume"]),
        ({"words": "x"}, ["configurable", "words"]),
        ({"words": ["z"]}, ["configurable", "words", 0]),
        (3, ["configurable"]),
        ([], ["configurable"]),
        ("x", ["configurable"]),
    ],
)
def test_a_choice_of_another_form_is_refused_by_its_name(given, loc):
    entry = entry_of(speaker())
    with pytest.raises(InvalidInput) as refused:
        checked_configurable(entry, given)
    assert [fault["loc"] for fault in refused.value.errors] == [loc]


def test_an_alternative_is_chosen_by_its_name():
    chosen = checked_configurable(entry_of(case()), {"case": "lower"})

    assert chosen == {"case": "lower"}
    assert not isinstance(chosen["case"], enum.Enum)


def test_an_alternative_that_is_not_offered_is_refused():
    with pytest.raises(InvalidInput) as refused:
        code(case(), chosen={"case": "title"})

    assert [fault["loc"] for fault in refused.value.errors] == [["configurable", "case"]]


async def test_the_alternative_that_was_chosen_runs():
    plan = code(case(), chosen={"case": "lower"})

    ran = await run(plan, "Hi", config={"configurable": dict(plan.configurable)})

    assert ran.output == "hi"


@pytest.mark.parametrize("given", [3, {"volume": 1}, [], "x"])
def test_a_chain_without_fields_drops_the_key_whatever_it_holds(given):
    assert checked_configurable(entry_of(ANYTHING), given) == {}


def test_a_chain_that_does_not_allow_its_fields_says_so():
    entry = entry_of(speaker(), config_keys=["tags"])

    assert checked_configurable(entry, {}) == {}
    with pytest.raises(InvalidInput, match="configure nothing"):
        checked_configurable(entry, {"volume": 1})


def test_the_config_schema_shows_what_may_be_set():
    shown = code(speaker(), config_keys=["configurable", "tags"]).config_schema

    assert set(shown["properties"]) == {"configurable", "tags"}
    assert shown["$defs"]["Configurable"]["properties"]["volume"]["default"] == 1


# --- What identifies it ------------------------------------------------------------------------


def test_the_digest_is_of_the_chain_its_package_and_what_was_chosen():
    plan = code(case())
    others = [
        replace(plan, configurable={"case": "lower"}),
        replace(plan, package="tests 2"),
        replace(plan, chain_slug="other"),
    ]

    assert replace(plan).digest == plan.digest
    assert len({p.digest for p in (plan, *others)}) == 4
