"""Users and their API keys."""

import secrets
import string
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import models
from django.utils import timezone

from concurrency.kept import KEYS_KEPT_S, SESSIONS_KEPT_S, Kept

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
LAST_USED_EVERY = timedelta(minutes=1)

known_keys: Kept[Any] = Kept(keep_s=KEYS_KEPT_S, most=10_000)
"""Cache: callers by the digest of their key."""
known_sessions: Kept[Any] = Kept(keep_s=SESSIONS_KEPT_S, most=10_000)
"""Cache: callers by their session's key."""


def new_key_id() -> str:
    """Return a random public id (119 bits). It is no credential, so URLs, logs and tickets may show it."""
    return "key_" + "".join(secrets.choice(BASE62) for _ in range(20))


class User(AbstractUser):
    """A person who signs in; owns keys and runs."""

    class Meta(AbstractUser.Meta):
        pass


Visitor = User | AnonymousUser
"""The sender of a request, signed in or not."""


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def of(self, user: User) -> "ApiKeyQuerySet":
        return self.filter(user=user)

    def live(self) -> "ApiKeyQuerySet":
        return self.filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()), revoked_at=None
        )

    def note_use(self, now: datetime) -> int:
        """Set ``last_used_at`` if that is due; return how many rows were written.

        The condition is part of the UPDATE, so of several concurrent processes only one writes.
        """
        due = models.Q(last_used_at=None) | models.Q(last_used_at__lte=now - LAST_USED_EVERY)
        return self.filter(due).update(last_used_at=now)


class ApiKey(models.Model):
    """A credential for programs. The key itself is shown once and never stored.

    The row of a revoked key stays, because runs refer to it.
    """

    id = models.CharField(primary_key=True, max_length=32, default=new_key_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def use_is_due(self, now: datetime) -> bool:
        """Return whether the recorded last use is so old that a new one must be written."""
        return self.last_used_at is None or self.last_used_at <= now - LAST_USED_EVERY

    @property
    def status(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "live" if self.is_live(timezone.now()) else "expired"

    def revoke(self) -> None:
        """Revoke the key from now on. A second call changes nothing."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])
