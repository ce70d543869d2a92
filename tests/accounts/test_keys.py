"""The format of keys, what is stored of them, and the rules of their rows."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.keys import checksum, digest_of, generate_key, issue_key, looks_like_key
from accounts.models import ApiKey


def test_a_key_is_one_word_of_58_characters_with_our_prefix():
    key = generate_key()

    assert key.startswith("chk_live_")
    assert len(key) == 58
    assert key.isascii()
    assert key.replace("_", "").isalnum()


def test_generated_keys_look_like_keys_and_never_repeat():
    keys = {generate_key() for _ in range(200)}

    assert len(keys) == 200
    assert all(looks_like_key(key) for key in keys)


def test_a_mistyped_character_is_seen_without_the_database():
    key = generate_key()
    mistyped = [key[:i] + ("x" if key[i] != "x" else "y") + key[i + 1 :] for i in range(len(key))]

    assert not any(looks_like_key(text) for text in mistyped)


@pytest.mark.parametrize(
    "text",
    ["", "chk_live_", "' OR '1'='1", "x" * 10_240, "\0", "🔑", "chk_live_" + "é" * 49, "\ud800"],
)
def test_anything_else_does_not_look_like_a_key(text):
    assert not looks_like_key(text)


def test_a_key_of_another_length_is_no_key_even_with_a_right_checksum():
    for body in ("chk_live_" + "x" * 42, "chk_live_" + "x" * 44, "chk_live_" + "x" * 10_240):
        assert not looks_like_key(body + checksum(body))


@pytest.mark.parametrize("extra", ["\n", " ", "\0", "x"])
def test_a_key_with_something_around_it_is_no_key(extra):
    key = generate_key()

    assert not looks_like_key(key + extra)
    assert not looks_like_key(extra + key)


def test_the_row_keeps_a_digest_and_twelve_characters_of_the_key_and_nothing_more(alice):
    issued = issue_key(user=alice, name="laptop", expires_at=None)

    row = ApiKey.objects.filter(pk=issued.row.pk).values().get()
    assert row["digest"] == digest_of(issued.secret) != issued.secret
    assert row["prefix"] == issued.secret[:12]
    assert not any(issued.secret in str(value) for value in row.values())


def test_an_issued_key_does_not_show_itself_in_a_traceback_or_a_name(live_key):
    assert live_key.secret not in repr(live_key)
    assert live_key.secret not in str(live_key.row)


def test_the_public_id_is_no_part_of_the_key(live_key):
    assert live_key.row.pk.startswith("key_")
    assert live_key.row.pk[4:] not in live_key.secret


def test_live_keys_are_neither_revoked_nor_expired(live_key, revoked_key, expired_key):
    assert list(ApiKey.objects.live()) == [live_key.row]


def test_a_key_without_expiry_stays_live(alice):
    row = issue_key(user=alice, name="forever", expires_at=None).row

    assert row.is_live(timezone.now() + timedelta(days=10_000))
    assert list(ApiKey.objects.live()) == [row]


def test_everyone_has_only_their_own_keys(alice, bob, live_key):
    assert list(ApiKey.objects.of(alice)) == [live_key.row]
    assert not ApiKey.objects.of(bob).exists()


def test_revoking_twice_keeps_the_first_moment(revoked_key):
    first = revoked_key.row.revoked_at

    revoked_key.row.revoke()

    assert ApiKey.objects.get(pk=revoked_key.row.pk).revoked_at == first
