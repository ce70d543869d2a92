"""The cast of the account tests, and keys of alice in every state."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from accounts.keys import IssuedKey, issue_key
from accounts.models import User


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """The real hasher takes a second for each user on a small machine, by intention."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
async def shared_db(transactional_db):
    """A database that other threads see too; async code reaches it through one of its own."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def alice(db) -> User:
    return User.objects.create_user("alice", password="a long pass phrase")


@pytest.fixture
def bob(db) -> User:
    return User.objects.create_user("bob", password="another pass phrase")


@pytest.fixture
def staff(db) -> User:
    return User.objects.create_superuser("staff", password="a third pass phrase")


@pytest.fixture
def live_key(alice) -> IssuedKey:
    return issue_key(user=alice, name="laptop", expires_at=timezone.now() + timedelta(days=1))


@pytest.fixture
def revoked_key(alice) -> IssuedKey:
    issued = issue_key(user=alice, name="revoked", expires_at=None)
    issued.row.revoke()
    return issued


@pytest.fixture
def expired_key(alice) -> IssuedKey:
    return issue_key(user=alice, name="expired", expires_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def orphaned_key(bob) -> IssuedKey:
    issued = issue_key(user=bob, name="of someone who left", expires_at=None)
    bob.is_active = False
    bob.save()
    return issued
