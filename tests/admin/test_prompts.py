"""Prompts in the admin."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from chains.models import Prompt
from tests.admin.conftest import errors_in, prompt_spec, url_of

ADD = "/admin/chains/prompt/add/"
TWO_MESSAGES = {
    "messages-0-role": "system",
    "messages-0-content": "You are {mood}.",
    "messages-1-role": "human",
    "messages-1-content": "{input}",
}


def test_a_new_prompt_is_saved_as_version_1(editor, staff):
    editor.submit(ADD, slug="coach", note="first", **TWO_MESSAGES)

    version = Prompt.objects.get(slug="coach").latest()
    assert (version.number, version.note, version.author) == (1, "first", staff)
    assert version.messages == [
        {"role": "system", "content": "You are {mood}."},
        {"role": "human", "content": "{input}"},
    ]
    assert version.variables == []


def test_a_placeholder_is_a_row_too(editor):
    row = {"messages-1-role": "placeholder", "messages-1-name": "history", "messages-1-optional": "on"}
    editor.submit(ADD, slug="coach", **{**TWO_MESSAGES, **row, "messages-1-content": ""})

    assert Prompt.objects.get(slug="coach").latest().messages[1] == {
        "placeholder": "history",
        "optional": True,
    }


def test_a_placeholder_needs_a_name(editor):
    response = editor.submit(ADD, slug="coach", **{**TWO_MESSAGES, "messages-1-role": "placeholder"})

    assert errors_in(response)["messages-1-name"] == ["Name the input that holds the messages."]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ({"type": "string", "default": "calm"}, {"type": "string", "default": "calm"}),
        ({"type": "integer", "default": "3"}, {"type": "integer", "default": 3}),
        ({"type": "number", "default": "0.5"}, {"type": "number", "default": 0.5}),
        ({"type": "boolean", "default": "no"}, {"type": "boolean", "default": False}),
        (
            {"type": "choice", "default": "calm", "choices": "calm\r\n\r\nwild"},
            {"type": "choice", "default": "calm", "choices": ["calm", "wild"]},
        ),
    ],
)
def test_a_variable_is_described_in_words_and_kept_typed(editor, typed, stored):
    cells = {f"variables-0-{name}": value for name, value in {"name": "mood", **typed}.items()}

    editor.submit(ADD, slug="coach", **TWO_MESSAGES, **cells)

    expected = {"name": "mood", "description": "", "default": None, "choices": [], **stored}
    assert Prompt.objects.get(slug="coach").latest().variables == [expected]


@pytest.mark.parametrize(
    ("cells", "where", "what"),
    [
        ({"name": "nobody"}, "name", "No message uses {nobody}."),
        ({"name": "mood", "type": "integer", "default": "x"}, "default", "not a whole number"),
        ({"name": "mood", "type": "number", "default": "nan"}, "default", "not a number"),
        ({"name": "mood", "type": "boolean", "default": "maybe"}, "default", "not yes or no"),
        ({"name": "mood", "type": "choice"}, "choices", "needs at least one"),
        ({"name": "mood", "type": "choice", "choices": "a", "default": "b"}, "default", "one of its choices"),
        ({"name": "1st"}, "name", "Letters"),
    ],
)
def test_a_wrong_variable_is_refused_in_its_row(editor, cells, where, what):
    cells = {f"variables-0-{name}": value for name, value in cells.items()}

    response = editor.submit(ADD, slug="coach", **TWO_MESSAGES, **cells)

    assert what in errors_in(response)[f"variables-0-{where}"][0]
    assert not Prompt.objects.filter(slug="coach").exists()


@pytest.mark.parametrize(
    "bad",
    ["{x.y}", "{x[0]}", "{x!r}", "{x:>9}", "{x:>50000000}", "{x:{y}}", "{}", "{0}", "{x", "x}", "{{#a}}}"],
)
def test_a_template_that_is_not_plain_is_refused_where_it_stands(editor, bad):
    text = f"fine\r\n  {bad}"

    response = editor.submit(ADD, slug="coach", **{**TWO_MESSAGES, "messages-1-content": text})

    assert response.status_code == 200
    (error,) = errors_in(response)["messages-1-content"]
    assert "line 2, column " in error
    assert "messages-0-content" not in errors_in(response)
    assert not Prompt.objects.filter(slug="coach").exists()


@pytest.mark.parametrize("bad", ["{", "}", '{"a": 1}', "{ name }", "{}"])
def test_an_error_about_a_brace_says_how_to_write_one(editor, bad):
    response = editor.submit(ADD, slug="coach", **{**TWO_MESSAGES, "messages-1-content": bad})

    (error,) = errors_in(response)["messages-1-content"]
    assert ("'{{'" if "{" in bad else "'}}'") in error


WARNING = "which is a brace itself, not a variable"


def warnings_of(response):
    return [text for text in map(str, response.context["messages"]) if WARNING in text]


@pytest.mark.parametrize("button", ["_continue", "_save", "_publish"])
def test_a_variable_in_two_braces_is_pointed_out_when_saving(editor, prompt, button):
    text = "Jokes about {topic}: {{mood}}, {{ mood }} and {{tone}}"

    response = editor.submit(url_of(prompt), button, follow=True, **{"messages-0-content": text})

    assert [warning.partition(",")[0] for warning in warnings_of(response)] == [
        "Message 1 has {{mood}}",
        "Message 1 has {{tone}}",
    ]
    assert "For the variable, write {mood}." in warnings_of(response)[0]
    assert prompt.latest().messages[0]["content"] == text


@pytest.mark.parametrize(
    "text",
    [
        "{topic}",
        "{{{topic}}}",
        "{{{{topic}}}}",
        '{{"a": {topic}}}',
        "{{}} {topic}",
        "{{a b}}",
        "{{1st}}",
        "{{{{{topic}}}}}",
    ],
)
def test_braces_that_look_like_no_variable_are_not_pointed_out(editor, prompt, text):
    response = editor.submit(url_of(prompt), follow=True, **{"messages-0-content": text})

    assert warnings_of(response) == []
    assert prompt.latest().messages[0]["content"] == text


def test_a_refused_form_keeps_what_was_typed(editor):
    response = editor.submit(
        ADD, slug="coach", **{**TWO_MESSAGES, "messages-0-content": "a long text {", "note": "why"}
    )

    page = response.content.decode()
    assert "a long text {" in page
    assert 'value="why"' in page


@pytest.mark.parametrize("text", ["nul \0 here", "x" * 65537])
def test_a_text_that_cannot_be_kept_is_a_form_error(editor, text):
    response = editor.submit(ADD, slug="coach", **{**TWO_MESSAGES, "messages-1-content": text})

    assert "messages-1-content" in errors_in(response)


def test_a_prompt_without_messages_is_refused(editor):
    response = editor.submit(ADD, slug="coach")

    assert errors_in(response)["messages"] == ["Add at least one message."]


def test_a_message_that_is_emptied_is_not_dropped_in_silence(editor, prompt):
    response = editor.submit(url_of(prompt), **{"messages-0-content": ""})

    assert errors_in(response)["messages-0-content"] == ["Write the message, or remove this row."]


def test_saving_a_changed_prompt_makes_a_version_and_leaves_the_old_one(editor, prompt):
    editor.submit(url_of(prompt), **{"messages-0-content": "Two jokes about {topic}."})

    assert [v.messages[0]["content"] for v in prompt.versions.order_by("number")] == [
        "Tell a joke about {topic}.",
        "Two jokes about {topic}.",
    ]
    assert prompt.at("production").number == 1


def test_saving_an_unchanged_prompt_makes_none(editor, prompt):
    editor.submit(url_of(prompt), name="Jokes")

    prompt.refresh_from_db()
    assert prompt.name == "Jokes"
    assert prompt.versions.count() == 1


def test_the_history_tells_what_was_changed_and_which_version_was_made(editor, prompt):
    editor.submit(url_of(prompt), name="Jokes", **{"messages-0-content": "Say {topic}."})

    assert LogEntry.objects.get().change_message == "Name: '' → 'Jokes' Saved version 2."


def test_messages_can_be_reordered_and_deleted_without_javascript(editor):
    editor.submit(ADD, slug="coach", **TWO_MESSAGES)
    coach = Prompt.objects.get(slug="coach")
    moved = {
        "messages-0-ORDER": "5",
        "messages-2-role": "ai",
        "messages-2-content": "Hm",
        "messages-2-ORDER": "1",
    }

    editor.submit(url_of(coach), **moved, **{"messages-1-DELETE": "on"})

    assert [m["content"] for m in coach.latest().messages] == ["Hm", "You are {mood}."]


def test_two_editors_do_not_overwrite_each_other(editor, prompt, alice):
    opened = editor.form(url_of(prompt))
    prompt.save_spec(prompt_spec("Alice's joke about {topic}."), author=alice)

    response = editor.submit(url_of(prompt), form=opened, **{"messages-0-content": "Mine on {topic}."})

    (error,) = errors_in(response)["__all__"]
    assert "alice saved version 2 while you were editing version 1" in error
    assert "Mine on {topic}." in response.content.decode()
    assert prompt.versions.count() == 2


def test_after_the_conflict_saving_again_is_a_decision(editor, prompt, alice):
    opened = editor.form(url_of(prompt))
    prompt.save_spec(prompt_spec("Alice's joke about {topic}."), author=alice)
    refused = editor.submit(url_of(prompt), form=opened, **{"messages-0-content": "Mine on {topic}."})

    editor.submit(url_of(prompt), form=editor.read(refused))

    assert prompt.latest().messages[0]["content"] == "Mine on {topic}."
    assert prompt.latest().number == 3


def test_save_and_publish_moves_production(editor, prompt, staff):
    response = editor.submit(
        url_of(prompt), "_publish", follow=True, **{"messages-0-content": "Only {topic}."}
    )

    assert prompt.at("production").number == 2
    assert "Published version 2" in response.content.decode()


def test_the_list_shows_what_is_published_and_what_is_newer(editor, prompt, alice):
    prompt.save_spec(prompt_spec("New {topic}"), author=alice)

    page = editor.client.get(reverse("admin:chains_prompt_changelist")).content.decode()

    assert "version 1</span>" in page
    assert 'version 2 <span class="badge badge-running">draft' in page


def test_a_template_is_never_markup(editor, prompt, alice):
    prompt.save_spec(prompt_spec("</textarea><script>x</script> {topic}"), author=alice)

    for page in ("change", "versions"):
        html = editor.client.get(url_of(prompt, page)).content.decode()
        assert "<script>x" not in html
        assert "&lt;script&gt;x" in html


def test_someone_who_may_only_look_sees_the_text_and_no_form(client, bob, prompt):
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_prompt"))
    client.force_login(bob)

    assert "Tell a joke about {topic}." in client.get(url_of(prompt)).content.decode()
    assert client.get(url_of(prompt, "versions")).status_code == 200
    assert client.post(url_of(prompt), {"slug": "x"}).status_code == 403
    assert client.post(url_of(prompt, "publish", number=1), {"label": "x"}).status_code == 403
