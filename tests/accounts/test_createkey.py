"""The command that prints a new key."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.callers import authenticate_key
from accounts.models import ApiKey


def createkey(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("createkey", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_prints_the_key_and_nothing_else(alice):
    out, err = createkey("alice")

    assert out.endswith("\n")
    assert out.count("\n") == 1
    assert err == ""
    assert authenticate_key(out.strip()).user == alice


def test_name_and_days_can_be_chosen(alice):
    createkey("alice", "--name", "cron on host 7", "--days", "2")

    key = ApiKey.objects.get()
    assert key.name == "cron on host 7"
    assert timedelta(days=1) < key.expires_at - timezone.now() <= timedelta(days=2)


def test_a_key_expires_after_ninety_days_unless_said_otherwise(alice):
    createkey("alice")

    assert timedelta(days=89) < ApiKey.objects.get().expires_at - timezone.now()


def test_an_unknown_user_is_named(db):
    with pytest.raises(CommandError, match="mallory"):
        createkey("mallory")


def test_an_inactive_user_gets_no_key(alice):
    alice.is_active = False
    alice.save()

    with pytest.raises(CommandError, match="'alice' is not active"):
        createkey("alice")


@pytest.mark.parametrize(
    "arguments", [("--days", "0"), ("--days", "99999999999"), ("--name", "x" * 101), ("--name", "")]
)
def test_a_bad_option_creates_nothing(alice, arguments):
    with pytest.raises(CommandError, match=arguments[0]):
        createkey("alice", *arguments)

    assert not ApiKey.objects.exists()
