"""Providers in the admin."""

import pytest
from django.contrib.admin.models import LogEntry

from chains.models import Price, Provider
from tests.admin.conftest import errors_in, url_of

ADD = "/admin/chains/provider/add/"
LIST = "/admin/chains/provider/"
CANARY = "sk-canary-0123456789-wxyz"


@pytest.fixture
def openai(db):
    return Provider.objects.create(
        slug="openai", kind="openai", base_url="https://models.example/v1", api_key=CANARY
    )


def key_of(provider):
    return Provider.objects.get(pk=provider.pk).api_key


def test_a_provider_is_added_with_its_key(superuser):
    superuser.submit(ADD, slug="openai", kind="openai", base_url="https://m.example/v1", new_key=CANARY)

    provider = Provider.objects.get()
    assert (provider.slug, provider.api_key) == ("openai", CANARY)
    assert LogEntry.objects.get().change_message == "Added. API key set."


def test_the_key_is_in_no_page_and_in_no_history(superuser, openai):
    new = CANARY.replace("canary", "canary-two")
    pages = [
        superuser.submit(url_of(openai), new_key=new, follow=True),
        superuser.submit(url_of(openai), new_key=new, slug="Not a slug"),
        superuser.submit(
            url_of(openai), base_url="https://elsewhere.example/v1", new_key=CANARY, follow=True
        ),
        *(superuser.client.get(url) for url in (url_of(openai), LIST, "/admin/")),
        *(superuser.client.get(url_of(openai, page)) for page in ("history", "delete")),
    ]

    for page in pages:
        assert page.status_code == 200
        assert "canary" not in page.content.decode()
    assert "set, ends …wxyz" in pages[3].content.decode()
    assert "canary" not in str(list(LogEntry.objects.values()))
    assert "canary" not in str(dict(superuser.client.session))


def test_an_empty_key_keeps_the_stored_one(superuser, openai):
    superuser.submit(url_of(openai), slug="renamed")

    assert Provider.objects.get().slug == "renamed"
    assert key_of(openai) == CANARY


def test_a_new_key_replaces_the_stored_one(superuser, openai):
    superuser.submit(url_of(openai), new_key="sk-new-0123456789")

    assert key_of(openai) == "sk-new-0123456789"
    assert LogEntry.objects.get().change_message == "API key set."


def test_the_key_can_be_removed(superuser, openai):
    superuser.submit(url_of(openai), remove_key="on")

    assert key_of(openai) == ""
    assert LogEntry.objects.get().change_message == "API key removed."


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/v1",
        "http://models.example/v1",
        "https://models.example:8443/v1",
        "https://models.example.elsewhere.example/v1",
        "",
    ],
)
def test_a_key_does_not_follow_the_endpoint_to_another_host(superuser, openai, url):
    page = superuser.submit(url_of(openai), base_url=url, follow=True)

    assert key_of(openai) == ""
    assert "The stored key is cleared" in page.content.decode()
    assert LogEntry.objects.get().change_message.endswith("API key cleared.")


def test_another_path_on_the_same_host_keeps_the_key(superuser, openai):
    superuser.submit(url_of(openai), base_url="https://models.example/v2")

    assert key_of(openai) == CANARY


def test_a_new_key_goes_with_a_new_host(superuser, openai):
    page = superuser.submit(
        url_of(openai),
        base_url="https://elsewhere.example/v1",
        new_key="sk-new-0123456789",
        follow=True,
    )

    assert key_of(openai) == "sk-new-0123456789"
    assert "cleared" not in "".join(str(m) for m in page.context["messages"])


def test_a_refused_form_changes_no_key_and_asks_for_the_new_one_again(superuser, openai):
    response = superuser.submit(
        url_of(openai), base_url="https://user:pw@elsewhere.example/", new_key="sk-new-0123456789"
    )

    assert set(errors_in(response)) == {"base_url", "new_key"}
    assert key_of(openai) == CANARY


@pytest.mark.parametrize("key", ["two words", "ключ", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused(superuser, openai, key):
    response = superuser.submit(url_of(openai), new_key=key)

    assert "new_key" in errors_in(response)
    assert key_of(openai) == CANARY


def test_the_history_tells_what_was_before_and_after(superuser, openai):
    superuser.submit(url_of(openai), connect_timeout_s="7")

    assert LogEntry.objects.get().change_message == "Connect, seconds: 5.0 → 7.0"


def test_prices_are_rows_of_the_form(superuser, openai):
    price = {"model": "gpt", "input_usd": "0.4", "output_usd": "1.6"}
    cells = {f"prices-0-{name}": value for name, value in price.items()}
    when = {"prices-0-valid_from_0": "2026-01-01", "prices-0-valid_from_1": "00:00:00"}

    superuser.submit(url_of(openai), **cells, **when, **{"prices-TOTAL_FORMS": "1"})

    assert str(Price.objects.get()) == "gpt: 0.400000 in, 1.600000 out"


def test_an_editor_can_neither_see_nor_change_a_provider(editor, openai):
    forged = {"slug": "mine", "kind": "openai", "base_url": "https://evil.example/", "new_key": "sk-evil"}
    before = Provider.objects.values().get(pk=openai.pk)

    for url in (LIST, ADD, url_of(openai), url_of(openai, "delete"), url_of(openai, "history")):
        assert editor.client.get(url).status_code == 403
        assert editor.client.post(url, {**forged, "post": "yes"}).status_code == 403
    assert Provider.objects.values().get(pk=openai.pk) == before
    assert "/admin/chains/provider/" not in editor.client.get("/admin/").content.decode()


def test_forged_provider_fields_in_a_chain_are_ignored(editor, openai, comedian):
    before = Provider.objects.values().get(pk=openai.pk)
    forged = {"api_key": "x", "base_url": "https://evil.example/", "prices-TOTAL_FORMS": "1"}

    editor.submit(url_of(comedian), forged=forged)

    assert Provider.objects.values().get(pk=openai.pk) == before
