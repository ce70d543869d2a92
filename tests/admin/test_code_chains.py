"""Chains in code, in the admin."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from langchain_core.runnables import RunnableLambda

from chains.actions.codechains import record_registered
from chains.doors import switches
from chains.models import Chain
from chains.runtime import registry as chains_in_code
from chains.runtime.registry import register
from tests.admin.conftest import errors_in, url_of

LIST = "/admin/chains/chain/"


def shout(text: str) -> str:
    return text.upper()


@pytest.fixture
def shouter(db, registry):
    register(
        "shout", RunnableLambda(shout), description="Says it louder.", config_keys=("tags",), timeout_s=7
    )
    record_registered()
    return Chain.objects.get(slug="shout")


@pytest.fixture
def orphan(db):
    """A row whose code is gone."""
    return Chain.objects.create(slug="gone", kind=Chain.Kind.CODE)


def test_a_chain_that_was_just_registered_is_in_the_list(editor, comedian, registry):
    register("shout", RunnableLambda(shout))

    page = editor.client.get(LIST).content.decode()

    assert "in code" in page
    assert {
        chain.slug for chain in editor.client.get(LIST, {"kind__exact": "code"}).context["cl"].result_list
    } == {"shout"}


def test_a_name_that_is_taken_twice_is_told_on_the_list(editor, comedian, registry):
    register("comedian", RunnableLambda(shout))

    response = editor.client.get(LIST)

    assert response.status_code == 200
    assert "Rename one of them" in response.content.decode()


def test_the_list_tells_whether_the_code_is_there(editor, shouter, orphan):
    page = editor.client.get(LIST).content.decode()

    assert chains_in_code.registered("shout").package in page
    assert "not registered" in page


def test_its_page_shows_what_the_code_registered(editor, shouter):
    page = editor.client.get(url_of(shouter)).content.decode()

    for text in (__name__, "7 s for a whole run", "tags (the code says so)", "shout_input", "shout_output"):
        assert text in page
    assert "/chains/shout/playground/" in page
    for name in (
        "steps-TOTAL_FORMS",
        'name="slug"',
        'name="config_keys"',
        'name="note"',
        "Save draft",
        "versions/",
    ):
        assert name not in page


def test_an_operator_sets_what_is_not_code(editor, shouter):
    friends = Group.objects.create(name="friends")
    filled = {"name": "Shouter", "enabled": "", "access": "groups", "groups": [friends.pk]}
    endpoints = [name for name in switches() if name != "batch"]

    editor.submit(
        url_of(shouter),
        form=editor.form(url_of(shouter), field="name"),
        endpoints=endpoints,
        expose_steps="on",
        system_messages="on",
        forged={"slug": "renamed", "config_keys": ["metadata"]},
        **filled,
    )

    shouter.refresh_from_db()
    assert (shouter.slug, shouter.name, shouter.access) == ("shout", "Shouter", "groups")
    assert shouter.disabled_endpoints == ["batch"]
    assert (shouter.expose_steps, shouter.system_messages) == (True, True)
    assert shouter.config_keys == ["configurable"]
    assert list(shouter.groups.all()) == [friends]
    assert "Name: '' → 'Shouter'" in LogEntry.objects.get().change_message
    assert not shouter.versions.exists()


def test_a_fault_is_shown_and_nothing_is_saved(editor, shouter):
    form = editor.form(url_of(shouter), field="name")

    response = editor.submit(url_of(shouter), form=form, name="New", access="groups", endpoints=["nonsense"])

    assert set(errors_in(response)) == {"groups", "endpoints"}
    shouter.refresh_from_db()
    assert (shouter.name, shouter.disabled_endpoints) == ("", [])


def test_it_has_no_versions_and_nothing_to_publish(editor, shouter):
    assert editor.client.get(url_of(shouter, "versions")).status_code == 404
    assert editor.client.post(url_of(shouter, "publish", number=1), {"label": "x"}).status_code == 404

    chosen = {"action": "publish_latest", "_selected_action": [shouter.pk]}
    page = editor.client.post(LIST, chosen, follow=True).content.decode()
    assert "is in code: the code that runs is its only version." in page
    assert "has no version" not in page


def test_it_cannot_be_deleted_while_the_code_registers_it(superuser, shouter, orphan):
    delete = url_of(shouter, "delete")
    for way in (
        lambda: superuser.client.post(delete, {"post": "yes"}, follow=True),
        lambda: superuser.client.post(
            LIST,
            {"action": "delete_selected", "_selected_action": [shouter.pk, orphan.pk], "post": "yes"},
            follow=True,
        ),
    ):
        assert "it would come back" in way().content.decode()
    assert delete not in superuser.client.get(url_of(shouter)).content.decode()
    assert Chain.objects.count() == 2


def test_it_can_be_deleted_when_the_code_is_gone(superuser, orphan):
    page = superuser.client.get(url_of(orphan)).content.decode()
    assert "not registered" in page
    assert "playground/" not in page

    superuser.client.post(url_of(orphan, "delete"), {"post": "yes"})

    assert not Chain.objects.exists()


def test_several_can_be_deleted_from_the_list(superuser, orphan, comedian):
    chosen = {"action": "delete_selected", "_selected_action": [orphan.pk, comedian.pk], "post": "yes"}

    superuser.client.post(LIST, chosen)

    assert not Chain.objects.exists()


def test_no_configured_chain_takes_the_name_of_one_in_code(editor, comedian, registry):
    register("shout", RunnableLambda(shout))

    response = editor.submit(url_of(comedian), slug="shout")

    assert f"The module {__name__} registers a chain of this name." in errors_in(response)["slug"]


def test_the_playground_is_offered_only_where_it_answers(editor, shouter):
    Chain.objects.update(disabled_endpoints=["playground"])

    assert "/playground/" not in editor.client.get(url_of(shouter)).content.decode()


def test_code_that_cannot_tell_its_types_is_no_crash(editor, registry):
    class Odd(RunnableLambda):
        def get_input_schema(self, config=None):
            raise KeyError("x")

    register("odd", Odd(shout))
    record_registered()

    page = editor.client.get(url_of(Chain.objects.get(slug="odd"))).content.decode()

    assert "The code cannot tell: KeyError" in page


def test_who_may_only_look_changes_nothing(client, staff, shouter):
    staff.groups.clear()
    staff.user_permissions.add(Permission.objects.get(codename="view_chain"))
    client.force_login(staff)

    page = client.get(url_of(shouter)).content.decode()

    assert "shout_input" in page
    assert "<textarea" not in page
    assert client.post(url_of(shouter), {"name": "New"}).status_code == 403
