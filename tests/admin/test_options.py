"""What callers may choose of a chain, in the admin."""

import json

import pytest

from chains.admin.options import option_of, option_row
from chains.admin.readable import chain_text
from chains.runtime.spec.chain import parse_spec
from chains.runtime.wire.lines import params_text, parse_params
from tests.admin.conftest import chain_spec, errors_in, url_of

SCHEMA = {"type": "object", "properties": {"joke": {"type": "string", "default": None}}}
OPTIONS = [
    {
        "field": "model",
        "name": "model",
        "choices": ["demo-coach", "5", "demo-coach"],
        "description": "Which.",
    },
    {"field": "temperature", "name": "warmth", "minimum": 0.25, "maximum": 1},
    {"field": "temperature", "name": "any_warmth"},
    {"field": "max_tokens", "name": "length", "minimum": 10, "maximum": 1_000_000},
    {"field": "prompt", "name": "style", "choices": {"short": {"slug": "joke", "ref": "2"}}},
    {
        "field": "step",
        "name": "engine",
        "choices": {
            "same": {},
            "other": {"provider": "demo", "model": "demo-coach", "prompt": {"slug": "joke"}},
            "hot": {"params": {"temperature": 2, "extra": {"reply": "a = b", "delay_ms": 0}}},
            "text": {"parser": {}},
            "data": {"parser": {"kind": "schema", "json_schema": SCHEMA}},
        },
    },
]


def spec_with(*options):
    step = chain_spec().model_dump()["steps"][0]
    return parse_spec({"steps": [step], "configurable": [{"step": "answer", **data} for data in options]})


def row(number=0, **cells):
    first = {"name": "choice", "step": "answer"}
    return {f"configurable-{number}-{name}": value for name, value in {**first, **cells}.items()}


@pytest.fixture
def choosy(comedian, alice):
    """A chain whose latest version has every kind of option."""
    comedian.save_spec(spec_with(*OPTIONS), author=alice)
    return comedian


def test_every_kind_of_option_is_written_in_the_form(editor, comedian):
    editor.submit(
        url_of(comedian),
        **{"configurable-TOTAL_FORMS": "5"},
        **row(0, name="model", field="model", choices="demo-coach\r\n\r\n  demo-echo ", description="Which."),
        **row(1, name="warmth", field="temperature", minimum="0.25"),
        **row(2, name="length", field="max_tokens", maximum="500"),
        **row(3, name="style", field="prompt", choices="short = joke@2\r\nlong=joke"),
        **row(4, name="engine", field="step", choices='quick = {"model": "demo-coach"}'),
    )

    expected = spec_with(
        {"field": "model", "name": "model", "choices": ["demo-coach", "demo-echo"], "description": "Which."},
        {"field": "temperature", "name": "warmth", "minimum": 0.25, "maximum": 2},
        {"field": "max_tokens", "name": "length", "minimum": 1, "maximum": 500},
        {
            "field": "prompt",
            "name": "style",
            "choices": {"short": {"slug": "joke", "ref": "2"}, "long": {"slug": "joke", "ref": "production"}},
        },
        {"field": "step", "name": "engine", "choices": {"quick": {"model": "demo-coach"}}},
    )
    assert comedian.latest().parsed == expected


def test_saving_a_chain_unchanged_keeps_every_option_and_makes_no_version(editor, choosy):
    before = choosy.latest()

    editor.submit(url_of(choosy), name="Comedian")

    choosy.refresh_from_db()
    assert choosy.name == "Comedian"
    assert choosy.latest() == before


@pytest.mark.parametrize(
    "model", ['"quoted"', " spaced ", "two\nlines", "a\u2028b", "a = b", "", "5", "{x}", 'a "b"', "ü"]
)
def test_a_model_of_any_name_is_read_back_from_its_line(model):
    options = {"field": "model", "name": "model", "choices": [model or "x", "last"]}
    option = spec_with(options).configurable[0]

    assert option_of(option_row(option)) == option


@pytest.mark.parametrize("value", ["a\u2028b", "a\x85b", {"x": "a\u2028b"}, ["\r"]])
def test_a_parameter_may_hold_what_python_takes_for_the_end_of_a_line(value):
    assert parse_params(params_text({"a": value, "b": 1})) == {"a": value, "b": 1}


WRITTEN_WRONG = [
    ({"field": "model", "choices": ""}, "choices", "at least 1 item"),
    ({"field": "model", "choices": "x" * 201}, "choices", "Choice 1: String should have at most 200"),
    ({"field": "model", "choices": 'x\n"y'}, "choices", "Line 2: "),
    ({"field": "temperature", "maximum": "3"}, "maximum", "less than or equal to 2"),
    ({"field": "temperature", "minimum": "nan"}, "minimum", "Enter a number"),
    ({"field": "temperature", "minimum": "1", "maximum": "0.5"}, "maximum", "above the maximum"),
    ({"field": "temperature", "name": "two words"}, "name", "Letters"),
    ({"field": "max_tokens"}, "maximum", "Field required"),
    ({"field": "max_tokens", "maximum": "1.5"}, "maximum", "integer"),
    ({"field": "max_tokens", "maximum": "1e300"}, "maximum", "integer"),
    ({"field": "prompt", "choices": "joke"}, "choices", "Line 1 is not like: name = value."),
    ({"field": "prompt", "choices": "two words = joke"}, "choices", "two words: String should match"),
    ({"field": "prompt", "choices": "a = joke\na = joke"}, "choices", "Line 2 sets 'a' again."),
    ({"field": "prompt", "choices": "a = joke@No Ref"}, "choices", "a → ref: String should match"),
    ({"field": "prompt", "choices": "default = joke"}, "choices", "'default' means the step itself"),
    ({"field": "step", "choices": "a = {"}, "choices", "a: "),
    ({"field": "step", "choices": "a = 5"}, "choices", "a: "),
    ({"field": "step", "choices": 'a = {"modell": "x"}'}, "choices", "a → modell: Extra inputs"),
    ({"field": "step", "choices": "a = " + "[" * 100_000}, "choices", "nested"),
]
DOES_NOT_FIT = [
    ({"field": "temperature", "step": "nothing"}, "step", "No step has this name. There is answer."),
    ({"field": "temperature", "name": "twice"}, "name", "by this name"),
    ({"field": "model", "choices": "x", "name": "twice"}, "name", "by this name"),
]
LEADS_NOWHERE = [
    ({"field": "prompt", "choices": "a = nothing"}, "choices", "a: There is no prompt 'nothing'."),
    ({"field": "step", "choices": 'a = {"provider": "nobody"}'}, "choices", "no provider 'nobody'"),
    ({"field": "step", "choices": 'a = {"prompt": {"slug": "b"}}'}, "choices", "no prompt 'b'"),
    (
        {"field": "step", "choices": 'a = {"params": {"extra": {"top_p": 1}}}'},
        "choices",
        "a: The parameter 'top_p' is not known",
    ),
]


@pytest.mark.parametrize("faults", [WRITTEN_WRONG, DOES_NOT_FIT, LEADS_NOWHERE])
def test_wrong_options_are_refused_at_their_cells_and_stay_on_the_page(editor, comedian, faults):
    rows = row(0, name="good", field="temperature")
    for number, (cells, _, _) in enumerate(faults, start=1):
        rows |= row(number, **{"name": f"name_{number}", **cells})

    response = editor.submit(url_of(comedian), **{"configurable-TOTAL_FORMS": len(faults) + 1}, **rows)

    found = {name: texts[0] for name, texts in errors_in(response).items() if "-" in name}
    wanted = {f"configurable-{n}-{cell}": text for n, (_, cell, text) in enumerate(faults, start=1)}
    assert found.keys() == wanted.keys()
    assert [(name, found[name]) for name in wanted if wanted[name] not in found[name]] == []
    page = editor.read(response)
    assert {name: page[name] for name in rows} == {name: [typed] for name, typed in rows.items()}
    assert comedian.latest().number == 1


def test_an_option_of_no_known_kind_is_refused(editor, comedian):
    response = editor.submit(url_of(comedian), **row(field="nonsense"))

    assert "Select a valid choice" in errors_in(response)["configurable-0-field"][0]


def test_what_is_hidden_of_another_kind_of_option_does_not_matter(editor, comedian):
    editor.submit(url_of(comedian), **row(field="temperature", choices="stale", maximum="1"))

    assert comedian.latest().parsed.configurable[0].maximum == 1


def test_the_difference_between_versions_shows_options(editor, choosy):
    url = url_of(choosy, "versions")
    page = editor.client.get(f"{url}?show=2&against=1").content.decode()

    for line in ("callers may choose warmth: the temperature of answer", "from 0.25 to 1", "short = joke@2"):
        assert line in page
    assert "from 10 to 1000000" in chain_text(choosy.latest().parsed)


def test_a_choice_that_cannot_run_is_told_when_the_draft_is_saved(editor, comedian):
    filled = row(field="prompt", choices="later = joke@99")

    page = editor.submit(url_of(comedian), follow=True, **filled).content.decode()

    assert "cannot run yet. With &#x27;choice&#x27; set to &#x27;later&#x27;" in page


def test_an_alternative_shows_only_what_differs():
    option = spec_with(OPTIONS[-1]).configurable[0]

    lines = [line.split(" = ", 1) for line in option_row(option)["choices"].splitlines()]

    assert {name: json.loads(change) for name, change in lines} == OPTIONS[-1]["choices"]
