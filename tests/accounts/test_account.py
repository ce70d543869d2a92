"""The account pages: sign in and out, create a key, see it once, revoke it."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.callers import authenticate_key
from accounts.keys import looks_like_key
from accounts.models import ApiKey

KEY = re.compile(r"chk_live_\w{49}")


def keys_shown(response) -> set[str]:
    return set(KEY.findall(response.content.decode()))


def create_key(client, name="laptop", days=30):
    return client.post("/account/", {"name": name, "days": days})


# --- Signing in and out ------------------------------------------------------------------------


def test_signing_in_leads_to_where_one_wanted_to_go(client, alice):
    response = client.get("/account/")
    assert response.headers["Location"] == "/account/sign-in/?next=/account/"

    credentials = {"username": "alice", "password": "a long pass phrase"}
    response = client.post("/account/sign-in/?next=/account/", credentials)

    assert response.headers["Location"] == "/account/"
    assert b"alice" in client.get("/account/").content


def test_signing_in_never_leads_to_another_site(client, alice):
    credentials = {"username": "alice", "password": "a long pass phrase"}

    response = client.post("/account/sign-in/?next=https://evil.example/", credentials)

    assert response.headers["Location"] == "/"


def test_a_wrong_password_and_an_unknown_or_inactive_user_read_the_same(client, alice, bob):
    bob.is_active = False
    bob.save()
    attempts = {"alice": "wrong", "nobody": "wrong", "bob": "another pass phrase"}

    pages = {
        str(client.post("/account/sign-in/", {"username": u, "password": p}).context["form"].errors)
        for u, p in attempts.items()
    }

    assert len(pages) == 1
    assert "correct username and password" in pages.pop()


def test_signing_out_takes_a_post(client, alice):
    client.force_login(alice)

    assert client.get(reverse("sign_out")).status_code == 405
    assert client.post(reverse("sign_out")).status_code == 302
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize("path", ["/account/sign-in/", "/account/", "/account/keys/key_x/revoke/"])
def test_every_form_needs_a_csrf_token(path, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    assert client.post(path, {"name": "laptop", "days": 30}).status_code == 403


@pytest.mark.parametrize("path", ["/account/", "/account/keys/key_x/revoke/"])
def test_a_signed_out_visitor_is_sent_to_sign_in(client, db, path):
    response = client.post(path, {"name": "laptop", "days": 30})

    assert response.headers["Location"].startswith("/account/sign-in/")
    assert not ApiKey.objects.exists()


# --- Creating a key ----------------------------------------------------------------------------


def test_a_new_key_works_and_expires_as_asked(client, alice):
    client.force_login(alice)

    (key,) = keys_shown(create_key(client, days=30))

    assert looks_like_key(key)
    caller = authenticate_key(key)
    assert (caller.user, caller.key.name) == (alice, "laptop")
    remaining = caller.key.expires_at - timezone.now()
    assert timedelta(days=29, hours=23) < remaining <= timedelta(days=30)


def test_a_new_key_is_shown_once_and_kept_nowhere(client, alice):
    client.force_login(alice)

    response = create_key(client)

    (key,) = keys_shown(response)
    assert "no-store" in response.headers["Cache-Control"]
    assert key not in str(response.cookies)
    assert key not in str(dict(client.session))
    later = client.get("/account/")
    assert keys_shown(later) == set()
    assert key[:12] in later.content.decode()


def test_the_hint_is_a_curl_call_to_this_host(client, alice):
    client.force_login(alice)

    page = create_key(client).content.decode()

    assert "curl http://testserver/chains/CHAIN/invoke" in page


@pytest.mark.parametrize(
    ("name", "days", "field"),
    [
        ("", 30, "name"),
        ("   ", 30, "name"),
        ("x" * 101, 30, "name"),
        ("a\0b", 30, "name"),
        ("laptop", 0, "days"),
        ("laptop", -1, "days"),
        ("laptop", 3651, "days"),
        ("laptop", 10**30, "days"),
        ("laptop", "soon", "days"),
        ("laptop", "", "days"),
    ],
)
def test_a_bad_form_is_shown_again_with_the_field_named(client, alice, name, days, field):
    client.force_login(alice)

    response = create_key(client, name, days)

    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert not ApiKey.objects.exists()


def test_a_form_cannot_name_another_owner(client, alice, bob):
    client.force_login(alice)

    client.post("/account/", {"name": "laptop", "days": 30, "user": bob.pk, "digest": "0"})

    assert ApiKey.objects.get().user == alice
    assert len(ApiKey.objects.get().digest) == 64


def test_a_name_is_shown_as_text(client, alice):
    client.force_login(alice)

    page = create_key(client, "<script>alert(1)</script>").content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_lists_only_ones_own_keys(client, bob, live_key):
    client.force_login(bob)

    page = client.get("/account/").content.decode()

    assert "laptop" not in page
    assert "no keys yet" in page


# --- Revoking a key ----------------------------------------------------------------------------


def test_revoking_keeps_the_row_and_says_so(client, alice, live_key):
    client.force_login(alice)

    response = client.post(reverse("revoke_key", args=[live_key.row.pk]), follow=True)

    assert "revoked" in response.content.decode()
    assert ApiKey.objects.get().status == "revoked"


def test_a_foreign_key_and_a_missing_one_are_the_same_404(client, bob, live_key):
    client.force_login(bob)

    foreign = client.post(f"/account/keys/{live_key.row.pk}/revoke/")
    missing = client.post("/account/keys/key_00000000000000000000/revoke/")

    assert (foreign.status_code, missing.status_code) == (404, 404)
    token = re.compile(rb'(?<=csrfmiddlewaretoken" value=")\w+')
    assert token.sub(b"", foreign.content) == token.sub(b"", missing.content)
    assert ApiKey.objects.live().filter(pk=live_key.row.pk).exists()


@pytest.mark.parametrize("key_id", ["%00", "%F0%9F%94%91", "' OR '1'='1", "x" * 5_000])
def test_an_impossible_key_id_is_a_404(client, alice, key_id):
    client.force_login(alice)

    assert client.post(f"/account/keys/{key_id}/revoke/").status_code == 404


def test_a_link_cannot_revoke(client, alice, live_key):
    client.force_login(alice)

    assert client.get(f"/account/keys/{live_key.row.pk}/revoke/").status_code == 405
    assert ApiKey.objects.get().status == "live"
