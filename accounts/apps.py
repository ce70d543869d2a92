"""Django's entry to this app."""

from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # Registers how our two ways to authenticate look in the OpenAPI document.
        from accounts import schema  # noqa: F401

        self._watch_callers()

    def _watch_callers(self) -> None:
        """What changes who a key or a session stands for counts at once in the process that changes it.

        Elsewhere, and where rows are changed by ``update``, it counts within a second.
        """
        from django.contrib.auth.models import Group
        from django.contrib.sessions.models import Session

        from accounts.models import ApiKey, User, known_keys, known_sessions

        def forget() -> None:
            known_keys.forget()
            known_sessions.forget()

        def changed(**_: Any) -> None:
            forget()
            # Whoever looked before the commit has seen what was before.
            transaction.on_commit(forget)

        self.changed = changed  # Signals keep weak references.
        for saved in (User, ApiKey):
            post_save.connect(changed, sender=saved)
        for deleted in (User, ApiKey, Session):
            post_delete.connect(changed, sender=deleted)
        for members in (User.groups, User.user_permissions, Group.permissions):
            m2m_changed.connect(changed, sender=members.through)
