"""Keys of alice in every state, and staff who may do everything."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.keys import IssuedKey, issue_key
from accounts.models import User


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
