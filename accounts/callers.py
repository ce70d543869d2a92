"""The lookup of the caller, by key or by session. Every way in uses it."""

import asyncio
import logging
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.db import Error as DatabaseFailure
from django.http import HttpRequest
from django.utils import timezone

from accounts.keys import digest_of, looks_like_key
from accounts.models import ApiKey, User, known_keys, known_sessions
from concurrency.database import in_database_thread

logger = logging.getLogger(__name__)


class CredentialsRefused(Exception):
    """The request has no live credential.

    The message is the same for every cause, so that it tells a stranger nothing about any key.
    """

    code = "not_authenticated"

    def __init__(self) -> None:
        super().__init__(
            "Missing or invalid credentials. Send a live API key as 'Authorization: Bearer <key>'."
        )


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The user who calls, and the key of the call; ``key`` is None for a session."""

    user: User
    key: ApiKey | None


# --- By key ------------------------------------------------------------------------------------


def authenticate_key(raw: str) -> Caller:
    """Return the owner of a live key, with one query; raises CredentialsRefused for anything else."""
    if not looks_like_key(raw):
        raise CredentialsRefused
    try:
        key = ApiKey.objects.select_related("user").get(digest=digest_of(raw))
    except ApiKey.DoesNotExist:
        raise CredentialsRefused from None
    if not key.is_live(timezone.now()) or not key.user.is_active:
        raise CredentialsRefused
    return Caller(user=key.user, key=key)


async def aauthenticate_key(raw: str) -> Caller:
    """``authenticate_key`` for async requests, with a cache of one second (``known_keys``).

    A text that is no key is refused without a switch to a thread.
    """
    if not looks_like_key(raw):
        raise CredentialsRefused
    caller: Caller = await known_keys.get(digest_of(raw), lambda: _authenticate_key(raw))
    if caller.key is None or not caller.key.is_live(timezone.now()):
        raise CredentialsRefused
    _note_use_later(caller.key)
    return caller


_authenticate_key = in_database_thread(authenticate_key)


# --- Last use ----------------------------------------------------------------------------------

_notes: dict[str, asyncio.Task[None]] = {}


def note_use(key: ApiKey) -> None:
    """Record that the key is used, at most once a minute. A failed write is logged and not raised."""
    now = timezone.now()
    if not key.use_is_due(now):
        return
    try:
        ApiKey.objects.filter(pk=key.pk).note_use(now)
        key.last_used_at = now
    except DatabaseFailure as failure:
        logger.warning("The last use of %s was not noted: %s", key.pk, failure)


_note_use = in_database_thread(note_use)


def _note_use_later(key: ApiKey) -> None:
    """Start ``note_use`` in a task, so that the request does not wait. One write per key at a time."""
    if key.pk in _notes or not key.use_is_due(timezone.now()):
        return
    task = asyncio.create_task(_note_use(key))
    _notes[key.pk] = task
    task.add_done_callback(lambda _: _notes.pop(key.pk, None))


# --- By session --------------------------------------------------------------------------------


def caller_of_session(session_key: str) -> Caller | None:
    """Return the session's user, or None, for example after a sign-out or a change of password."""
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return Caller(user=user, key=None) if isinstance(user, User) else None


_authenticate_session = in_database_thread(caller_of_session)


async def authenticate_session(session_key: str) -> Caller | None:
    """``caller_of_session`` with a cache: the result is at most one second old."""
    return await known_sessions.get(session_key, lambda: _authenticate_session(session_key))
