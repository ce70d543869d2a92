"""The accounts app's configuration; it also clears the caches of callers when their rows change."""

from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # This import registers our two ways to authenticate for the OpenAPI document.
        from accounts import schema  # noqa: F401

        self._watch_callers()

    def _watch_callers(self) -> None:
        """Clear this process' caches of callers whenever a user, key, session or permission changes.

        So a change counts at once in the process that makes it. In other processes, and for changes by
        ``QuerySet.update``, it counts within a second.
        """
        from django.contrib.auth.models import Group
        from django.contrib.sessions.models import Session

        from accounts.models import ApiKey, User, known_keys, known_sessions

        def forget() -> None:
            known_keys.forget()
            known_sessions.forget()

        def changed(**_: Any) -> None:
            forget()
            # A request that reads before the commit caches the old state again.
            transaction.on_commit(forget)

        self.changed = changed  # Keeps it alive: signals only hold weak references.
        for saved in (User, ApiKey):
            post_save.connect(changed, sender=saved)
        for deleted in (User, ApiKey, Session):
            post_delete.connect(changed, sender=deleted)
        for members in (User.groups, User.user_permissions, Group.permissions):
            m2m_changed.connect(changed, sender=members.through)
