"""Templates of plain ``{name}`` variables, and what a prompt asks of its caller."""

import re
import time

import pytest
from langchain_core.prompts import ChatPromptTemplate
from pydantic import ValidationError

from chains.runtime import names
from chains.runtime.errors import InvalidTemplate
from chains.runtime.providers import demo
from chains.runtime.steps import jsonanswer, parsers, prompts
from chains.runtime.steps.prompts import MAX_TEMPLATE_CHARS, MAX_VARIABLES, PromptSpec, Variable, as_text
from chains.runtime.wire import strict_json, values
from tests.runtime.helpers import prompt

BAD = [
    # template, position, line, column
    ("{x.y}", 0, 1, 1),
    ("{x.__class__}", 0, 1, 1),
    ("a {x[0]}", 2, 1, 3),
    ("{x!r}", 0, 1, 1),
    ("ab\ncd {x:>9}", 6, 2, 4),
    ("{x:>50000000}", 0, 1, 1),
    ("{}", 0, 1, 1),
    ("{0}", 0, 1, 1),
    ("{ x }", 0, 1, 1),
    ("{ä}", 0, 1, 1),
    ("{x\n}", 0, 1, 1),
    ("{" + "n" * 65 + "}", 0, 1, 1),
    ("ok {x} {x", 7, 1, 8),
    ("\n\n}", 2, 3, 1),
    ("{x}}", 3, 1, 4),
    ("{{x}", 3, 1, 4),
    ("{x:{y}}", 0, 1, 1),
    ("{{{x}}", 5, 1, 6),
    ("{{#a}}{{/a}} {#b}", 13, 1, 14),
    ("line\r\n\N{PILE OF POO} {x!s}", 8, 2, 3),
]


@pytest.mark.parametrize(("template", "position", "line", "column"), BAD)
def test_what_is_no_plain_variable_is_refused_at_its_place(template, position, line, column):
    with pytest.raises(InvalidTemplate, match=rf"\(line {line}, column {column}\)\.$") as caught:
        prompts.template_variables(template)

    assert caught.value.position == position


@pytest.mark.parametrize("template", [bad[0] for bad in BAD])
def test_no_prompt_is_made_of_a_bad_template(template):
    with pytest.raises(InvalidTemplate):
        prompt(template)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("", ()),
        ("plain", ()),
        ("{a}", ("a",)),
        ("{b} {a} {b}", ("b", "a")),
        ("{{a}}", ()),
        ("{{{a}}}", ("a",)),
        ('{{"key": "{value}"}}', ("value",)),
        ("{{#a}} stays text {{/a}}", ()),
        ("{_under} {x1}{y2}", ("_under", "x1", "y2")),
        ("Grüße an {name} \N{PILE OF POO}\u2028", ("name",)),
        ("{" + "n" * 64 + "}", ("n" * 64,)),
    ],
)
def test_langchain_finds_the_same_variables_and_writes_the_same_text(template, names):
    theirs = ChatPromptTemplate.from_messages([("human", template)])
    inputs = {name: f"<{name}>" for name in names}

    assert prompts.template_variables(template) == names
    assert set(theirs.input_variables) == set(names)
    messages = prompts.rendered(prompt(template), inputs)
    assert messages[0].content == theirs.format_messages(**inputs)[0].content == template.format(**inputs)


def test_braces_in_a_value_are_written_as_they_are():
    messages = prompts.rendered(prompt("Say {x}"), {"x": "{x}{secret}{{y}}", "secret": "CANARY"})

    assert messages[0].content == "Say {x}{secret}{{y}}"


def test_a_template_may_be_as_long_as_the_limit():
    assert prompts.template_variables("x" * MAX_TEMPLATE_CHARS) == ()


def test_a_longer_template_is_refused_where_the_limit_is():
    with pytest.raises(InvalidTemplate, match="is longer than 65536 characters") as caught:
        prompts.template_variables("x" * (MAX_TEMPLATE_CHARS + 1))

    assert caught.value.position == MAX_TEMPLATE_CHARS


def test_a_prompt_has_at_most_64_variables_and_placeholders():
    variables = "".join(f"{{v{i}}}" for i in range(MAX_VARIABLES - 1))

    assert len(prompt(variables, {"placeholder": "history"}).properties()) == MAX_VARIABLES
    with pytest.raises(ValidationError, match="At most 64 variables"):
        prompt(variables + "{one_more}", {"placeholder": "history"})


def test_a_prompt_has_between_1_and_100_messages():
    assert len(prompt(*["x"] * 100).messages) == 100
    for messages in ([], [{"role": "human", "content": "x"}] * 101):
        with pytest.raises(ValidationError):
            PromptSpec.model_validate({"messages": messages})


@pytest.mark.parametrize(
    "data",
    [
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "human"}]},
        {"messages": [{"placeholder": "a b"}]},
        {"messages": [{"placeholder": "a\n"}]},
        {"messages": [{"role": "human", "content": "x", "template_format": "jinja2"}]},
        {"messages": [{"role": "human", "content": "{x}"}, {"placeholder": "x"}]},
        {"messages": [{"role": "human", "content": "{x}"}], "variables": [{"name": "y"}]},
        {"messages": [{"role": "human", "content": "{x}"}], "variables": [{"name": "x"}, {"name": "x"}]},
    ],
)
def test_an_inconsistent_prompt_is_refused(data):
    with pytest.raises(ValidationError):
        PromptSpec.model_validate(data)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "integer", "default": "3"},
        {"type": "integer", "default": True},
        {"type": "integer", "default": 1.5},
        {"type": "number", "default": False},
        {"type": "boolean", "default": 1},
        {"type": "string", "default": 3},
        {"type": "text", "default": True},
        {"type": "choice"},
        {"type": "choice", "choices": ["a"], "default": "b"},
        {"type": "string", "choices": ["a"]},
        {"type": "date"},
    ],
)
def test_a_variable_whose_default_or_choices_do_not_fit_its_type_is_refused(data):
    with pytest.raises(ValidationError):
        Variable.model_validate({"name": "x", **data})


@pytest.mark.parametrize(
    ("data", "schema"),
    [
        ({}, {"type": "string", "title": "Some name"}),
        ({"type": "text"}, {"type": "string", "title": "Some name", "format": "textarea"}),
        ({"type": "integer", "default": 0}, {"type": "integer", "title": "Some name", "default": 0}),
        ({"type": "number", "default": 1}, {"type": "number", "title": "Some name", "default": 1}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "title": "Some name", "default": False}),
        (
            {"type": "choice", "choices": ["a", "b"], "description": "Which?"},
            {"type": "string", "title": "Some name", "enum": ["a", "b"], "description": "Which?"},
        ),
    ],
)
def test_a_variable_is_described_as_json_schema(data, schema):
    assert Variable.model_validate({"name": "some_name", **data}).json_schema == schema


def test_properties_are_in_order_of_first_use_and_required_without_a_default():
    asked = prompt(
        "{b} {a}",
        {"placeholder": "history", "optional": True},
        {"placeholder": "must"},
        "{c} {a}",
        variables=({"name": "a", "default": "x"},),
    ).properties()

    assert [(name, required) for name, (_, required) in asked.items()] == [
        ("b", True),
        ("a", False),
        ("history", False),
        ("must", True),
        ("c", True),
    ]
    assert asked["history"][0]["type"] == "array"


@pytest.mark.parametrize(
    ("value", "text"),
    [("{x}", "{x}"), (3, "3"), (True, "true"), (None, "null"), ({"ä": [1]}, '{"ä": [1]}')],
)
def test_what_is_not_text_is_written_as_json(value, text):
    assert as_text(value) == text


N = 100_000
ADVERSARIAL = [
    "{" * N,
    "}" * N,
    "{x" * N,
    "{" + "x" * N,
    " " * N,
    "\n" * N,
    "a" * N + "!",
    "-" * N,
    '"' * N,
    '"' + "\\" * N,
    '"\\' * N,
    "```" + "\n" * N,
    "```json\n" + " \n" * N + "x",
    "```" * N,
    "[" * N,
    "\ud800" * N,
    " x" * N,
    "<" * N,
]
MODULES = (demo, jsonanswer, names, prompts, strict_json, values)


def patterns() -> dict[str, re.Pattern]:
    compiled = {
        f"{module.__name__}.{name}": value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }
    return compiled | {"name": re.compile(names.NAME_PATTERN), "slug": re.compile(names.SLUG_PATTERN)}


@pytest.mark.parametrize("name", patterns())
@pytest.mark.parametrize("method", ["match", "search"])
def test_no_pattern_is_slow_on_100_kb(name, method):
    pattern = patterns()[name]
    for text in (text[:N] for text in ADVERSARIAL):
        data = text.encode(errors="replace") if isinstance(pattern.pattern, bytes) else text
        began = time.process_time()
        getattr(pattern, method)(data)
        assert time.process_time() - began < 0.05, text[:12]


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_no_reader_of_text_is_slow_on_100_kb(text):
    def read_template() -> None:
        prompts.template_variables(text[:MAX_TEMPLATE_CHARS])

    readers = [
        read_template,
        lambda: strict_json.strict_json(text.encode(errors="replace")),
        lambda: jsonanswer.parse_json(text),
        lambda: parsers.parsed(parsers.Parser(kind="list"), text),
        lambda: demo.DemoChatModel(reply=text)._answer([]),
    ]
    for reader in readers:
        began = time.process_time()
        try:
            reader()
        except Exception as refused:
            assert not isinstance(refused, RecursionError | MemoryError)  # noqa: PT017
        assert time.process_time() - began < 0.5
