"""Chains in the admin."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group

from chains.doors import switches
from chains.models import Chain, LabelMove, Provider
from tests.admin.conftest import chain_spec, errors_in, prompt_spec, url_of

ADD = "/admin/chains/chain/add/"


def step(number=0, **cells):
    first = {"name": "answer", "prompt": "joke", "provider": "demo", "model": "demo-echo"}
    return {f"steps-{number}-{name}": value for name, value in {**first, **cells}.items()}


@pytest.fixture
def openai(db):
    return Provider.objects.create(slug="openai", kind="openai")


def test_a_chain_is_configured_without_any_json(editor, demo, prompt, staff):
    editor.submit(ADD, slug="comedian", note="first", **step(temperature="0.5", max_tokens="200"))

    version = Chain.objects.get(slug="comedian").latest()
    assert (version.number, version.note, version.author) == (1, "first", staff)
    assert version.spec["steps"] == [
        {
            "kind": "llm",
            "name": "answer",
            "prompt": {"slug": "joke", "ref": "production"},
            "provider": "demo",
            "model": "demo-echo",
            "params": {"temperature": 0.5, "max_tokens": 200, "extra": {}},
            "parser": {"kind": "text", "json_schema": None},
        }
    ]


def test_a_chain_may_have_steps_fallbacks_and_a_time_limit(editor, demo, openai, prompt):
    spare = {"fallbacks-0-provider": "demo", "fallbacks-0-model": "demo-coach"}
    editor.submit(
        ADD,
        slug="comedian",
        run_s="20",
        **step(),
        **step(1, name="again", ref="7", provider="openai"),
        **spare,
    )

    spec = Chain.objects.get(slug="comedian").latest().parsed
    assert [(s.name, s.provider, s.prompt.ref) for s in spec.steps] == [
        ("answer", "demo", "production"),
        ("again", "openai", "7"),
    ]
    assert [(t.provider, t.model) for t in spec.fallbacks] == [("demo", "demo-coach")]
    assert spec.timeouts.run_s == 20


def test_further_parameters_are_lines_read_as_json_or_text(editor, demo, prompt):
    editor.submit(ADD, slug="comedian", **step(extra="delay_ms = 5\r\n\r\nreply = Hello = there"))

    assert Chain.objects.get(slug="comedian").latest().parsed.steps[0].params.extra == {
        "delay_ms": 5,
        "reply": "Hello = there",
    }


@pytest.mark.parametrize(
    ("cells", "where", "what"),
    [
        ({"extra": "delay_ms"}, "extra", "Line 1 is not like"),
        ({"extra": "words = 1\nwords = 2"}, "extra", "Line 2 sets 'words' again"),
        ({"extra": "top_p = 1"}, "extra", "'top_p' is not known to providers of kind 'demo'"),
        ({"temperature": "3"}, "temperature", "less than or equal to 2"),
        ({"temperature": "nan"}, "temperature", "Enter a number"),
        ({"max_tokens": "0"}, "max_tokens", "greater than or equal to 1"),
        ({"name": "two words"}, "name", "Letters"),
        ({"ref": "Not a ref"}, "ref", "A label"),
        ({"provider": "nobody"}, "provider", "Select a valid choice"),
        ({"prompt": "nothing"}, "prompt", "Select a valid choice"),
        ({"model": ""}, "model", "required"),
        ({"parser": "schema"}, "json_schema", "Write JSON here"),
        ({"parser": "schema", "json_schema": "{"}, "json_schema", "line 1, column 2"),
        ({"parser": "schema", "json_schema": "[]"}, "json_schema", "dictionary"),
        ({"parser": "schema", "json_schema": '{"type": "array"}'}, "json_schema", "describes an object"),
        ({"parser": "schema", "json_schema": '{"type": 1}'}, "json_schema", "Not a JSON Schema"),
        ({"parser": "schema", "json_schema": '{"a": NaN}'}, "json_schema", "NaN"),
        ({"parser": "schema", "json_schema": '{"a": "\\ud800"}'}, "json_schema", "surrogate"),
        ({"parser": "schema", "json_schema": '{"a": "\\u0000"}'}, "json_schema", "U+0000"),
        ({"parser": "schema", "json_schema": '{"a": 1, "a": 2}'}, "json_schema", "twice"),
        ({"parser": "schema", "json_schema": "[" * 100_000}, "json_schema", "nested"),
    ],
)
def test_a_wrong_step_is_refused_in_its_row(editor, demo, prompt, cells, where, what):
    response = editor.submit(ADD, slug="comedian", **step(), **step(1, **{"name": "b", **cells}))

    assert what in errors_in(response)[f"steps-1-{where}"][0]
    assert not [name for name in errors_in(response) if name.startswith("steps-0")]
    assert not Chain.objects.filter(slug="comedian").exists()


def test_a_parameter_that_a_fallback_does_not_know_is_refused(editor, demo, openai, prompt):
    spare = {"fallbacks-0-provider": "openai", "fallbacks-0-model": "gpt"}

    response = editor.submit(ADD, slug="comedian", **step(extra="delay_ms = 1"), **spare)

    assert "Fallback 'openai'" in errors_in(response)["steps-0-extra"][0]


def test_two_steps_of_one_name_are_refused(editor, demo, prompt):
    response = editor.submit(ADD, slug="comedian", **step(), **step(1))

    assert errors_in(response)["steps-1-name"] == ["Two steps have this name."]


def test_a_json_schema_is_kept_and_shown_again(editor, demo, prompt):
    schema = {"type": "object", "properties": {"joke": {"type": "string"}}}
    editor.submit(ADD, slug="comedian", **step(parser="schema", json_schema=json.dumps(schema)))
    chain = Chain.objects.get(slug="comedian")

    editor.submit(url_of(chain), name="Comedian")

    assert chain.latest().parsed.steps[0].parser.json_schema == schema
    assert chain.versions.count() == 1


@pytest.mark.parametrize(
    "value", ["5", "true", "", " spaced ", '"quoted"', "two\nlines", "{x", 5, 0.5, ["a", "b"]]
)
def test_editing_something_else_leaves_every_parameter_as_it_was(editor, demo, prompt, alice, value):
    chain = Chain.objects.create(slug="comedian")
    chain.save_spec(chain_spec(params={"extra": {"reply": value}}), author=alice)

    editor.submit(url_of(chain), name="Comedian")

    assert chain.versions.count() == 1


def test_saving_a_changed_chain_makes_a_version_and_an_unchanged_one_none(editor, comedian):
    editor.submit(url_of(comedian), enabled="")
    assert comedian.versions.count() == 1

    editor.submit(url_of(comedian), **{"steps-0-temperature": "1"})

    assert [v.number for v in comedian.versions.all()] == [2, 1]


def test_a_chain_for_groups_needs_a_group(editor, comedian):
    response = editor.submit(url_of(comedian), access="groups")

    assert "groups" in errors_in(response)


def test_endpoints_that_are_not_checked_are_switched_off_without_a_new_version(editor, comedian):
    url = url_of(comedian)
    assert editor.form(url)["endpoints"] == list(switches())

    on = [name for name in switches() if name not in ("playground", "batch")]
    editor.submit(url, endpoints=on, config_keys=["tags"], expose_steps="on", system_messages="on")

    comedian.refresh_from_db()
    assert comedian.disabled_endpoints == ["batch", "playground"]
    assert comedian.config_keys == ["tags"]
    assert (comedian.expose_steps, comedian.system_messages) == (True, True)
    assert comedian.versions.count() == 1
    form = editor.form(url)
    assert (form["endpoints"], form["config_keys"]) == (on, ["tags"])
    assert "Config of callers: 'configurable' → 'tags'" in LogEntry.objects.get().change_message


def test_a_chain_may_have_every_endpoint_switched_off(editor, comedian):
    form = editor.form(url_of(comedian))
    del form["endpoints"], form["config_keys"]

    editor.submit(url_of(comedian), form=form)

    comedian.refresh_from_db()
    assert (comedian.disabled_endpoints, comedian.config_keys) == (list(switches()), [])


def test_what_is_no_endpoint_or_key_is_refused_and_the_page_keeps_what_was_checked(editor, comedian):
    form = editor.form(url_of(comedian)) | {"endpoints": ["invoke"], "config_keys": ["tags"]}

    response = editor.submit(
        url_of(comedian), form=form, endpoints=["invoke", "x"], config_keys=["tags", "callbacks"]
    )

    assert set(errors_in(response)) == {"endpoints", "config_keys"}
    page = editor.read(response)
    assert (page["endpoints"], page["config_keys"]) == (["invoke"], ["tags"])


def test_groups_are_saved_and_the_history_names_them(editor, comedian):
    friends = Group.objects.create(name="friends")
    editor.submit(url_of(comedian), access="groups", groups=[friends.pk])

    assert list(comedian.groups.all()) == [friends]
    assert "'friends'" in LogEntry.objects.get().change_message


def test_two_editors_do_not_overwrite_each_other(editor, comedian, alice):
    opened = editor.form(url_of(comedian))
    comedian.save_spec(chain_spec(model="demo-coach"), author=alice)

    response = editor.submit(url_of(comedian), form=opened, **{"steps-0-model": "mine"})

    assert "alice saved version 2" in errors_in(response)["__all__"][0]
    assert 'value="mine"' in response.content.decode()
    assert comedian.latest().number == 2


def test_publishing_the_latest_from_the_list(editor, comedian):
    chosen = {"action": "publish_latest", "_selected_action": [comedian.pk]}

    editor.client.post("/admin/chains/chain/", chosen)

    assert comedian.at("production").number == 1


def test_a_chain_that_cannot_run_is_saved_with_a_warning_and_not_published(editor, comedian, prompt):
    prompt.labels.all().delete()

    page = editor.submit(url_of(comedian), name="Comedian", follow=True).content.decode()
    assert "cannot run yet" in page

    page = editor.submit(url_of(comedian), "_publish", name="The comedian", follow=True).content.decode()
    assert "has no &#x27;production&#x27; version yet" in page
    assert not comedian.labels.exists()
    assert not LabelMove.objects.of(comedian).exists()


def test_the_confirm_page_shows_the_difference_and_moves_nothing(editor, comedian, alice):
    comedian.point("production", comedian.latest(), by=alice)
    comedian.save_spec(chain_spec(model="demo-coach"), author=alice)

    page = editor.client.get(url_of(comedian, "publish", number=2)).content.decode()

    assert "<mark>echo</mark>" in page
    assert "<mark>coach</mark>" in page
    assert comedian.at("production").number == 1


def test_publishing_and_rolling_back_are_two_moves_that_are_remembered(editor, comedian, alice, staff):
    comedian.save_spec(chain_spec(model="demo-coach"), author=alice)
    for number in (2, 1):
        url = url_of(comedian, "publish", number=number)
        editor.submit(url, form=editor.form(url, field="label"))

    assert comedian.at("production").number == 1
    moves = LabelMove.objects.of(comedian).order_by("pk")
    assert [(m.from_number, m.to_number, m.by) for m in moves] == [(None, 2, staff), (2, 1, staff)]
    assert [e.change_message for e in LogEntry.objects.order_by("pk")] == [
        "Moved production from nothing to version 2.",
        "Moved production from version 2 to version 1.",
    ]
    assert "rolled back" in editor.client.get(url_of(comedian, "versions")).content.decode()


def test_a_confirmation_is_void_when_someone_else_moved_the_label_meanwhile(editor, comedian, alice):
    url = url_of(comedian, "publish", number=1)
    opened = editor.form(url, field="label")
    comedian.point("production", comedian.save_spec(chain_spec(model="x"), author=alice), by=alice)

    response = editor.submit(url, form=opened)

    assert "someone has moved production meanwhile" in response.content.decode()
    assert comedian.at("production").number == 2


def test_any_label_can_be_set(editor, comedian):
    url = url_of(comedian, "publish", number=1)

    editor.submit(url, form=editor.form(f"{url}?label=staging", field="label"))

    assert comedian.at("staging").number == 1


@pytest.mark.parametrize("label", ["latest", "7", "Not a label", "", "x" * 65])
def test_a_label_that_cannot_be_is_refused(editor, comedian, label):
    response = editor.client.post(url_of(comedian, "publish", number=1), {"label": label})

    assert response.status_code == 200
    assert not comedian.labels.exists()


def test_a_prompts_confirm_page_names_the_chains_that_follow(editor, comedian, prompt, alice):
    comedian.point("production", comedian.latest(), by=alice)
    prompt.save_spec(prompt_spec("New {topic}"), author=alice)

    page = editor.client.get(url_of(prompt, "publish", number=2)).content.decode()

    assert "<strong>comedian</strong>" in page


@pytest.mark.parametrize("query", ["show=99", "show=" + "9" * 40, "show=1&against=nothing", "show=%00"])
def test_a_version_that_does_not_exist_is_a_404(editor, comedian, query):
    assert editor.client.get(f"{url_of(comedian, 'versions')}?{query}").status_code == 404


def test_a_version_cannot_be_edited(editor, comedian):
    page = editor.client.get("/admin/").content.decode()

    assert "chainversion" not in page
    assert editor.client.get("/admin/chains/chainversion/").status_code == 404


def test_the_draft_and_production_can_be_tried_from_the_form(editor, comedian, alice):
    page = editor.client.get(url_of(comedian)).content.decode()
    assert "/chains/comedian@latest/playground/" in page
    assert "/chains/comedian/playground/" not in page

    comedian.point("production", comedian.latest(), by=alice)

    assert "/chains/comedian/playground/" in editor.client.get(url_of(comedian)).content.decode()

    Chain.objects.update(disabled_endpoints=["playground"])

    assert "/playground/" not in editor.client.get(url_of(comedian)).content.decode()
