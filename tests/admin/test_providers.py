"""Providers in the admin."""

from pathlib import Path

import certifi
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from chains.models import LearnedHabit, Price, Provider
from chains.runtime.providers.habits import SETTINGS
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


# --- How it is asked ----------------------------------------------------------------------------


def test_each_habit_has_a_setting_in_plain_words(superuser, openai):
    form = superuser.client.get(url_of(openai)).context["adminform"].form

    for name, values in SETTINGS.items():
        assert [value for value, _ in form.fields[name].choices] == ["auto", *values]
        assert form.fields[name].help_text


def test_settings_that_are_automatic_are_not_stored(superuser, openai):
    superuser.submit(url_of(openai), streaming="never", json_schema="tool")
    assert Provider.objects.get().habits == {"streaming": "never", "json_schema": "tool"}
    told = "Streaming: 'auto' → 'never' JSON Schema: 'auto' → 'tool'"
    assert LogEntry.objects.get().change_message == told

    superuser.submit(url_of(openai), streaming="auto")
    assert Provider.objects.get().habits == {"json_schema": "tool"}


def test_a_page_that_was_saved_without_a_change_changes_nothing(superuser, openai):
    Provider.objects.update(
        habits={"api": "responses"}, splits_thinking=False, ca_bundle="", max_concurrency=3
    )
    before = Provider.objects.defer("updated_at").values().get()

    superuser.submit(url_of(openai))

    unchanged = {
        name: value for name, value in Provider.objects.values().get().items() if name != "updated_at"
    }
    assert unchanged == {name: value for name, value in before.items() if name != "updated_at"}
    assert LogEntry.objects.get().change_message == "Saved without a change."


def test_the_tags_of_a_help_text_are_shown(superuser):
    assert "&lt;think&gt;…&lt;/think&gt;" in superuser.client.get(ADD).content.decode()


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("https://m.example/v1/chat/completions", "https://m.example/v1"),
        ("  https://m.example/v1/chat/completions/ ", "https://m.example/v1"),
        ("https://m.example/v1/responses", "https://m.example/v1"),
        ("https://m.example/v1/completions", "https://m.example/v1"),
        ("https://m.example/v1/models", "https://m.example/v1"),
        ("https://m.example/v1/embeddings", "https://m.example/v1"),
        ("https://m.example/v1/", "https://m.example/v1"),
        ("https://m.example/d/chat/completions?api-version=1", "https://m.example/d?api-version=1"),
        ("https://m.services.ai.azure.com/models", "https://m.services.ai.azure.com/models"),
        ("https://m.example/v1", "https://m.example/v1"),
    ],
)
def test_an_endpoint_is_cut_back_to_its_base(superuser, openai, typed, stored):
    page = superuser.submit(url_of(openai), base_url=typed, follow=True)

    assert Provider.objects.get().base_url == stored
    noted = any("The endpoint is stored as" in str(message) for message in page.context["messages"])
    assert noted == (typed.strip() != stored)


# --- Further secrets ----------------------------------------------------------------------------

HEADERS = "X-Org: canary-org\nX-Team: canary-team"
PROXY = "http://canary-user:canary-word@proxy.example:3128"


def test_headers_and_proxy_are_in_no_page_and_in_no_history(superuser, openai):
    pages = [
        superuser.submit(url_of(openai), new_headers=HEADERS, new_proxy=PROXY, follow=True),
        superuser.submit(url_of(openai), new_headers=HEADERS, new_proxy=PROXY, slug="Not a slug"),
        superuser.submit(url_of(openai), new_headers="X-Org canary", new_proxy="canary://x"),
        *(superuser.client.get(url) for url in (url_of(openai), LIST)),
        *(superuser.client.get(url_of(openai, page)) for page in ("history", "delete", "test")),
    ]

    assert errors_in(pages[1]).keys() == {"slug", "new_headers", "new_proxy"}
    assert errors_in(pages[2]).keys() == {"new_headers", "new_proxy"}
    for page in pages:
        assert page.status_code == 200
        assert "canary-" not in page.content.decode()
    for shown in ("Now: set: X-Org, X-Team.", "Now: set: http://proxy.example:3128."):
        assert shown in pages[3].content.decode()
    stored = Provider.objects.get()
    assert (stored.headers.splitlines(), stored.proxy) == (HEADERS.splitlines(), PROXY)
    assert [entry.change_message for entry in LogEntry.objects.all()] == [
        "Further headers set. HTTP proxy set."
    ]


@pytest.fixture
def behind_a_proxy(openai):
    openai.headers, openai.proxy = HEADERS, PROXY
    openai.save()
    return openai


def test_they_stay_where_nothing_is_typed_and_can_be_removed(superuser, behind_a_proxy):
    superuser.submit(url_of(behind_a_proxy), slug="renamed")
    stored = Provider.objects.get()
    assert (stored.headers, stored.proxy) == (HEADERS, PROXY)

    superuser.submit(url_of(behind_a_proxy), remove_headers="on", remove_proxy="on")
    stored = Provider.objects.get()
    assert (stored.headers, stored.proxy, stored.api_key) == ("", "", CANARY)
    assert LogEntry.objects.first().change_message == "Further headers removed. HTTP proxy removed."


def test_no_secret_follows_the_endpoint_to_another_host(superuser, behind_a_proxy):
    page = superuser.submit(url_of(behind_a_proxy), base_url="https://other.example/v1", follow=True)

    stored = Provider.objects.get()
    assert (stored.headers, stored.proxy, stored.api_key) == ("", "", "")
    told = "".join(str(message) for message in page.context["messages"])
    for what in (
        "The stored key is cleared",
        "The stored headers are cleared",
        "The stored proxy is cleared",
    ):
        assert what in told


def test_only_what_is_stored_can_be_removed(superuser, openai, behind_a_proxy):
    assert {"remove_key", "remove_headers", "remove_proxy"} <= superuser.form(url_of(openai)).names
    Provider.objects.update(api_key="", headers="", proxy="")

    for url in (ADD, url_of(openai)):
        names = superuser.form(url).names
        assert "new_headers" in names
        assert not [name for name in names if name.startswith("remove_")]


def test_certificates_are_checked_and_not_repeated_in_the_history(superuser, openai):
    response = superuser.submit(url_of(openai), ca_bundle="nonsense")
    assert "These are no certificates" in str(errors_in(response)["ca_bundle"])

    superuser.submit(url_of(openai), ca_bundle=ca_certificate())
    assert Provider.objects.get().ca_bundle.startswith("-----BEGIN CERTIFICATE-----")
    assert LogEntry.objects.get().change_message == "CA certificates changed."


def ca_certificate():
    """Any one that is real."""
    bundle, end = Path(certifi.where()).read_text(), "-----END CERTIFICATE-----"
    return bundle[bundle.index("-----BEGIN") : bundle.index(end)] + end


def test_who_may_only_view_sees_the_settings_and_no_secret(client, staff, behind_a_proxy):
    Provider.objects.update(habits={"streaming": "never"})
    staff.user_permissions.add(Permission.objects.get(codename="view_provider"))
    client.force_login(staff)

    page = client.get(url_of(behind_a_proxy)).content.decode()

    for text in ("Streaming: Never streams", "X-Org, X-Team", "http://proxy.example:3128", "…wxyz"):
        assert text in page
    assert "canary-" not in page
    assert "trial_model" not in page


def test_a_price_has_one_for_cached_input(superuser, openai):
    price = {"model": "gpt", "input_usd": "0.4", "cached_input_usd": "0.1", "output_usd": "1.6"}
    cells = {f"prices-0-{name}": value for name, value in price.items()}
    when = {"prices-0-valid_from_0": "2026-01-01", "prices-0-valid_from_1": "00:00:00"}

    superuser.submit(url_of(openai), **cells, **when, **{"prices-TOTAL_FORMS": "1"})

    assert str(Price.objects.get().cached_input_usd) == "0.100000"


# --- What was learned ---------------------------------------------------------------------------


@pytest.fixture
def learned(openai):
    def row(model, habit, value, refusal=""):
        return LearnedHabit.objects.create(
            provider=openai, model=model, habit=habit, value=value, refusal=refusal
        )

    return [
        row("gpt-5", "token_limit", "max_completion_tokens", "Use <b>max_completion_tokens</b>."),
        row("gpt-5", "temperature", "left out"),
    ]


def test_the_page_tells_what_was_learned(superuser, openai, learned):
    page = superuser.client.get(url_of(openai)).content.decode()

    for text in (
        "gpt-5",
        "Token limit",
        "max_completion_tokens",
        "Use &lt;b&gt;max_completion_tokens&lt;/b&gt;.",
        "The parameter temperature",
        "Left out",
    ):
        assert text in page


def test_saving_the_form_leaves_what_was_learned(superuser, openai, learned):
    superuser.submit(url_of(openai), connect_timeout_s="7")

    assert LearnedHabit.objects.count() == 2


MOVED = [{"base_url": "http://elsewhere.example/v1"}, {"kind": "azure", "base_url": "http://x.example"}]


@pytest.mark.parametrize("moved", MOVED)
def test_what_another_server_taught_is_forgotten(superuser, openai, learned, moved):
    superuser.submit(url_of(openai), **moved)

    assert not openai.learned.exists()


@pytest.mark.parametrize("habit", ["0", "all"])
def test_what_was_learned_can_be_forgotten(superuser, openai, learned, habit):
    other = Provider.objects.create(slug="other", kind="demo")
    others = LearnedHabit.objects.create(provider=other, model="m", habit="api", value="responses")
    url = url_of(openai, "forget")
    for foreign in (str(others.pk), "99999"):
        page = superuser.client.post(url, {"habit": foreign}, follow=True)
        assert "Nothing was left to forget." in page.content.decode()

    button = "all" if habit == "all" else str(learned[0].pk)
    page = superuser.client.post(url, {"habit": button}, follow=True)

    count = 2 if habit == "all" else 1
    assert f"Forgotten: {count} of what was learned." in page.content.decode()
    assert LearnedHabit.objects.filter(provider=openai).count() == 2 - count
    assert LearnedHabit.objects.filter(provider=other).exists()


def test_only_a_form_of_this_site_makes_forget(root, openai, learned):
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)

    assert client.post(url_of(openai, "forget"), {"habit": "all"}).status_code == 403
    assert client.get(url_of(openai, "forget")).status_code == 405
    assert LearnedHabit.objects.count() == 2


@pytest.mark.parametrize("habit", ["", "x", "-1", "1; DROP"])
def test_nonsense_is_nothing_to_forget(superuser, openai, learned, habit):
    assert superuser.client.post(url_of(openai, "forget"), {"habit": habit}).status_code == 404


# --- Rights -------------------------------------------------------------------------------------


def test_who_may_only_view_neither_tests_nor_forgets(client, staff, openai, learned):
    staff.user_permissions.add(Permission.objects.get(codename="view_provider"))
    client.force_login(staff)

    for page in ("test", "forget"):
        assert client.get(url_of(openai, page)).status_code == 403
        answer = client.post(url_of(openai, page), {"model": "m", "habit": "all"})
        assert answer.status_code == 403
    assert LearnedHabit.objects.count() == 2


def test_an_editor_can_neither_see_nor_change_a_provider(editor, openai):
    forged = {"slug": "mine", "kind": "openai", "base_url": "https://evil.example/", "new_key": "sk-evil"}
    before = Provider.objects.values().get(pk=openai.pk)

    others = [url_of(openai, page) for page in ("delete", "history", "test", "forget")]
    for url in (LIST, ADD, url_of(openai), *others):
        assert editor.client.get(url).status_code == 403
        assert editor.client.post(url, {**forged, "post": "yes"}).status_code == 403
    assert Provider.objects.values().get(pk=openai.pk) == before
    assert "/admin/chains/provider/" not in editor.client.get("/admin/").content.decode()


def test_forged_provider_fields_in_a_chain_are_ignored(editor, openai, comedian):
    before = Provider.objects.values().get(pk=openai.pk)
    forged = {"api_key": "x", "base_url": "https://evil.example/", "prices-TOTAL_FORMS": "1"}

    editor.submit(url_of(comedian), forged=forged)

    assert Provider.objects.values().get(pk=openai.pk) == before


def test_a_provider_of_a_kind_that_is_gone_is_told_so_and_breaks_no_page(admin_client, openai):
    Provider.objects.filter(pk=openai.pk).update(kind="gone")

    tested = admin_client.post(reverse("admin:chains_provider_test", args=[openai.pk]), {"model": "m"})
    listed = admin_client.get(reverse("admin:chains_provider_models"), {"provider": "openai"})

    assert (tested.status_code, listed.status_code) == (200, 200)
    assert "There is no provider kind" in tested.content.decode()
    assert listed.json() == {"models": []}
