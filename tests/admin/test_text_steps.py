"""Steps of the kind ``text`` in the admin."""

import pytest

from chains.admin.readable import chain_text
from chains.models import Chain
from chains.runtime.spec.chain import parse_spec
from tests.admin.conftest import chain_spec, errors_in, url_of
from tests.admin.test_chains import ADD, step

LETTER = {"kind": "text", "name": "letter", "template": "Dear {name},\n\n{answer}"}


def text(number=1, **cells):
    """A row as the page posts it once its kind is chosen."""
    first = {"kind": "text", "name": "letter", "template": "Dear {name},\r\n\r\n{answer}"}
    return {f"steps-{number}-{name}": value for name, value in {**first, **cells}.items()}


@pytest.fixture
def letter(comedian, alice):
    """A chain of a model call and a text."""
    spec = chain_spec().model_dump()
    comedian.save_spec(parse_spec({"steps": [*spec["steps"], LETTER]}), author=alice)
    return comedian


def test_a_text_is_added_beside_a_model_call(editor, demo, prompt):
    editor.submit(ADD, slug="comedian", **step(), **text())

    steps = Chain.objects.get(slug="comedian").latest().spec["steps"]
    assert [row["kind"] for row in steps] == ["llm", "text"]
    assert steps[1] == LETTER


def test_a_chain_of_a_text_alone_is_saved_and_published(editor, db):
    page = editor.submit(ADD, "_publish", slug="note", **text(0, template="Hi {name}"), follow=True)

    assert "Published version 1" in page.content.decode()
    assert [s.kind for s in Chain.objects.get(slug="note").at("production").parsed.steps] == ["text"]


def test_texts_may_stand_before_a_model_call(editor, demo, prompt):
    editor.submit(ADD, slug="comedian", **step(), **text(template="Hi"), **{"steps-1-ORDER": "0"})

    assert [s.kind for s in Chain.objects.get(slug="comedian").latest().parsed.steps] == ["text", "llm"]


def test_its_row_is_shown_again_and_edited(editor, letter):
    form = editor.form(url_of(letter))
    assert (form["steps-0-kind"], form["steps-1-kind"]) == (["llm"], ["text"])
    assert form["steps-1-template"] == [LETTER["template"]]
    assert "steps-1-model" not in form

    editor.submit(url_of(letter), **{"steps-1-template": "Hello {name}"})

    assert letter.latest().parsed.steps[1].template == "Hello {name}"


@pytest.mark.parametrize(
    "template", [LETTER["template"], "\n two lines above", "ends with space \n\n", "{{}}"]
)
def test_saving_it_unchanged_makes_no_version(editor, letter, alice, template):
    spec = letter.latest().spec
    spec["steps"][1]["template"] = template
    version = letter.save_spec(parse_spec(spec), author=alice)

    editor.submit(url_of(letter), name="Comedian")

    letter.refresh_from_db()
    assert (letter.name, letter.latest()) == ("Comedian", version)


def test_the_difference_between_versions_shows_its_text(editor, letter):
    page = editor.client.get(f"{url_of(letter, 'versions')}?show=2&against=1").content.decode()

    assert "── step 2: letter (text)" in page
    assert "Dear {name}," in page
    header, *lines = chain_text(letter.latest().parsed).split("\n\n", 1)[1].splitlines()
    assert (header, lines) == ("── step 2: letter (text)", ["Dear {name},", "", "{answer}"])


def test_a_model_calls_header_says_no_kind(letter):
    assert chain_text(letter.latest().parsed).startswith("── step 1: answer\nprompt: joke@production\n")


@pytest.mark.parametrize(
    ("cells", "where", "what"),
    [
        ({"template": ""}, "template", "required"),
        ({"template": "Hi\r\n {name"}, "template", "a &#x27;{&#x27; that is not closed"),
        ({"template": "Hi\r\n {name"}, "template", "(line 2, column 2)"),
        ({"template": "{a.b}"}, "template", "not a plain {name}"),
        ({"template": "x" * 65537}, "template", "longer than 65536 characters"),
        ({"name": "two words"}, "name", "Letters"),
        ({"name": ""}, "name", "required"),
        ({"name": "answer"}, "name", "Two steps have this name."),
    ],
)
def test_a_wrong_text_is_refused_at_its_cell(editor, demo, prompt, cells, where, what):
    response = editor.submit(ADD, slug="comedian", **step(), **text(**cells))

    faults = {name: texts for name, texts in errors_in(response).items() if name.startswith("steps-1-")}
    assert list(faults) == [f"steps-1-{where}"]
    assert what in response.content.decode()
    assert not Chain.objects.filter(slug="comedian").exists()


def test_a_variable_in_two_braces_is_pointed_out_when_saving(editor, letter):
    response = editor.submit(url_of(letter), follow=True, **{"steps-1-template": "Dear {{name}}, {answer}"})

    told = [str(message) for message in response.context["messages"]]
    assert any(text.startswith("Step 'letter' has {{name}}, which is a brace itself") for text in told)


def test_the_kind_is_chosen_without_a_script_in_two_steps(editor, demo, prompt):
    """The first one posts the cells of a model call, as the page had them."""
    filled = step() | {"steps-1-kind": "text", "steps-1-name": "letter"}
    response = editor.submit(ADD, slug="comedian", **filled)

    assert errors_in(response)["steps-1-__all__"] == ["Fill in the fields of this kind, then save again."]
    assert not Chain.objects.filter(slug="comedian").exists()
    form = editor.read(response)
    assert (form["steps-1-kind"], form["steps-1-name"], form["steps-1-template"]) == (
        ["text"],
        ["letter"],
        [""],
    )
    assert "steps-1-model" not in form

    editor.submit(ADD, form=form, **{"steps-1-template": LETTER["template"]})

    assert Chain.objects.get(slug="comedian").latest().spec["steps"][1] == LETTER


def test_a_choice_that_a_text_does_not_offer_is_refused_in_words(editor, letter):
    rows = {"name": "heat", "step": "letter", "field": "temperature", "minimum": "0", "maximum": "1"}

    response = editor.submit(url_of(letter), **{f"configurable-0-{name}": v for name, v in rows.items()})

    assert errors_in(response)["configurable-0-field"] == [
        "Of 'letter', a step of the kind 'text', callers cannot choose this."
    ]


def test_choices_of_the_model_call_beside_it_are_checked_as_before(editor, letter):
    rows = {"name": "style", "step": "answer", "field": "prompt", "choices": "a = nothing"}

    response = editor.submit(url_of(letter), **{f"configurable-0-{name}": v for name, v in rows.items()})

    assert errors_in(response)["configurable-0-choices"] == ["a: There is no prompt 'nothing'."]


def test_the_parameters_of_the_model_call_beside_it_are_checked_as_before(editor, letter):
    response = editor.submit(url_of(letter), **{"steps-0-extra": "top_p = 1"})

    assert "'top_p' is not known" in errors_in(response)["steps-0-extra"][0]


def test_a_prompts_confirm_page_names_a_chain_with_a_text_beside_it(editor, letter, prompt, alice):
    letter.point("production", letter.latest(), by=alice)

    page = editor.client.get(url_of(prompt, "publish", number=1)).content.decode()

    assert "<strong>comedian</strong>" in page
