"""Users and API keys in the admin."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from accounts.callers import authenticate_key
from accounts.models import ApiKey, User

KEY = re.compile(r"chk_live_\w{49}")
LIST = "admin:accounts_apikey_changelist"
ADD = "admin:accounts_apikey_add"
CHANGE = "admin:accounts_apikey_change"


@pytest.fixture
def admin_of(client, staff):
    client.force_login(staff)
    return client


def add_key(client, owner, name="robot", days=90):
    return client.post(reverse(ADD), {"user": owner.pk, "name": name, "days": days}, follow=True)


def test_the_form_offers_ninety_days(admin_of):
    form = admin_of.get(reverse(ADD)).context["adminform"].form

    assert list(form.fields) == ["user", "name", "days"]
    assert form["days"].value() == 90


def test_a_key_made_here_belongs_to_the_user_named_and_works(admin_of, alice):
    page = add_key(admin_of, alice, days=7).content.decode()

    (key,) = set(KEY.findall(page))
    caller = authenticate_key(key)
    assert (caller.user, caller.key.name) == (alice, "robot")
    remaining = caller.key.expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < remaining <= timedelta(days=7)


def test_a_key_made_here_is_shown_once_and_kept_nowhere(admin_of, alice):
    response = add_key(admin_of, alice)

    (key,) = set(KEY.findall(response.content.decode()))
    assert key not in str(response.cookies)
    assert key not in str(dict(admin_of.session))
    for page in (reverse(LIST), reverse(CHANGE, args=[ApiKey.objects.get().pk]), "/admin/"):
        assert key not in admin_of.get(page).content.decode()
    entry = LogEntry.objects.get()
    assert key not in f"{entry} {entry.object_repr} {entry.change_message}"


def test_the_list_shows_who_what_and_whether_it_works(admin_of, live_key, revoked_key, expired_key):
    page = admin_of.get(reverse(LIST)).content.decode()

    for text in ("alice", "laptop", live_key.secret[:12] + "…", "live", "revoked", "expired"):
        assert text in page


def test_the_list_can_be_searched(admin_of, live_key, revoked_key):
    page = admin_of.get(reverse(LIST), {"q": "laptop"})

    assert list(page.context["cl"].queryset) == [live_key.row]


def test_only_the_name_can_be_edited_later(admin_of, alice, bob, live_key):
    url = reverse(CHANGE, args=[live_key.row.pk])
    before = ApiKey.objects.values().get()
    forged = {"name": "desktop", "user": bob.pk, "expires_at_0": "2099-01-01", "digest": "0" * 64}

    response = admin_of.post(url, forged)

    assert response.status_code == 302
    assert ApiKey.objects.values().get() == {**before, "name": "desktop"}


def test_selected_keys_are_revoked_and_it_is_logged(admin_of, live_key, revoked_key):
    chosen = [live_key.row.pk, revoked_key.row.pk]

    response = admin_of.post(
        reverse(LIST), {"action": "revoke_selected", "_selected_action": chosen}, follow=True
    )

    assert "1 key revoked." in response.content.decode()
    assert not ApiKey.objects.live().exists()
    assert LogEntry.objects.get().object_id == live_key.row.pk


def test_a_key_cannot_be_deleted(admin_of, live_key):
    delete = reverse("admin:accounts_apikey_delete", args=[live_key.row.pk])

    assert admin_of.post(delete, {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin_of.get(reverse(LIST)).content.decode()


def test_deleting_a_user_does_not_delete_keys_behind_the_back(admin_of, alice, live_key):
    delete = reverse("admin:accounts_user_delete", args=[alice.pk])

    assert admin_of.post(delete, {"post": "yes"}).status_code == 403
    assert ApiKey.objects.filter(pk=live_key.row.pk).exists()


def test_someone_who_may_only_look_can_neither_add_nor_revoke(client, bob, live_key):
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(bob)

    assert client.get(reverse(LIST)).status_code == 200
    assert client.get(reverse(ADD)).status_code == 403
    chosen = {"action": "revoke_selected", "_selected_action": [live_key.row.pk]}
    client.post(reverse(LIST), chosen)
    assert ApiKey.objects.live().exists()


def test_a_user_can_be_added(admin_of):
    new = {"username": "carol", "password1": "x7 long phrase", "password2": "x7 long phrase"}

    response = admin_of.post(reverse("admin:accounts_user_add"), {**new, "usable_password": "true"})

    assert response.status_code == 302
    assert User.objects.get(username="carol").check_password("x7 long phrase")
