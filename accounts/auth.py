"""Who is calling: one lookup for every way in, with its doors for DRF and for async code."""

import asyncio
import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import NotAuthenticated, ParseError, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.database import borrowed_connection, in_database_thread
from accounts.keys import digest_of, looks_like_key
from accounts.models import ApiKey, User, known_keys, known_sessions

logger = logging.getLogger(__name__)

CHALLENGE = "Bearer"


class CredentialsRefused(NotAuthenticated):
    """The one refusal, whatever was wrong: it tells a stranger nothing about any key."""

    default_detail = "Missing or invalid credentials. Send a live API key as 'Authorization: Bearer <key>'."
    # What rest_framework's exception handler puts into WWW-Authenticate.
    auth_header = CHALLENGE


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who is calling, and with which key; None means a signed-in session."""

    user: User
    key: ApiKey | None


# --- The lookup --------------------------------------------------------------------------------


def authenticate_key(raw: str) -> Caller:
    """The owner of a live key, in one query; raises CredentialsRefused for anything else."""
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
    """``authenticate_key`` for async requests; garbage is refused without a trip to a thread."""
    if not looks_like_key(raw):
        raise CredentialsRefused
    caller: Caller = await known_keys.get(digest_of(raw), lambda: _authenticate_key(raw))
    if caller.key is None or not caller.key.is_live(timezone.now()):
        raise CredentialsRefused
    _note_use_later(caller.key)
    return caller


_authenticate_key = in_database_thread(authenticate_key)


def key_in(request: HttpRequest) -> str | None:
    """The API key that the request's headers offer; "" for an Authorization that is no Bearer."""
    authorization = request.META.get("HTTP_AUTHORIZATION")
    plain = request.META.get("HTTP_X_API_KEY")
    if authorization is None:
        return None if plain is None else plain.strip()
    scheme, _, bearer = authorization.strip().partition(" ")
    offered = bearer.strip() if scheme.lower() == "bearer" else ""
    if plain is not None and plain.strip() != offered:
        raise ParseError("Authorization and X-API-Key disagree. Send one of them.")
    return offered


# --- Last use ----------------------------------------------------------------------------------

_notes: dict[str, asyncio.Task[None]] = {}


def note_use(key: ApiKey) -> None:
    """Write down that the key is used, at most once a minute; a request never fails for it."""
    now = timezone.now()
    if not key.use_is_due(now):
        return
    try:
        ApiKey.objects.filter(pk=key.pk).note_use(now)
        key.last_used_at = now
    except DatabaseFailure:
        logger.warning("The last use of %s was not noted", key.pk, exc_info=True)


_note_use = in_database_thread(note_use)


def _note_use_later(key: ApiKey) -> None:
    """``note_use`` beside the request, one write per key at a time."""
    if key.pk in _notes or not key.use_is_due(timezone.now()):
        return
    task = asyncio.create_task(_note_use(key))
    _notes[key.pk] = task
    task.add_done_callback(lambda _: _notes.pop(key.pk, None))


# --- Async views -------------------------------------------------------------------------------


async def authenticate(request: HttpRequest) -> Caller:
    """The caller: by key if a header offers one, else by the signed-in session and CSRF.

    Raises CredentialsRefused (401), ParseError (400) or PermissionDenied (403).
    """
    raw = key_in(request)
    if raw is not None:
        return await aauthenticate_key(raw)
    # Most strangers bring no cookie: no need to ask the database.
    user = await _session_user(request) if settings.SESSION_COOKIE_NAME in request.COOKIES else None
    if user is None:
        raise CredentialsRefused
    enforce_csrf(request)
    return Caller(user=user, key=None)


def session_user(request: HttpRequest) -> User | None:
    """The active user of the request's session."""
    return request.user if isinstance(request.user, User) else None


# In one trip to a thread; request.auser() makes one for the session and one for the user.
_session_user = sync_to_async(borrowed_connection()(session_user))


def enforce_csrf(request: HttpRequest) -> None:
    """What Django's middleware does for forms, for a request that a session signs."""
    check = CSRFCheck(lambda _: HttpResponse())
    check.process_request(request)
    if reason := check.process_view(request, None, (), {}):  # type: ignore[arg-type]
        raise PermissionDenied(f"A session needs a CSRF token: {reason}", code="csrf_failed")


# --- WebSockets --------------------------------------------------------------------------------


def caller_of_session(session_key: str) -> Caller | None:
    """Whoever that session signs in now, None after a sign-out or a change of password."""
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return Caller(user=user, key=None) if isinstance(user, User) else None


_authenticate_session = in_database_thread(caller_of_session)


async def authenticate_session(session_key: str) -> Caller | None:
    """``caller_of_session``, as it was within the last second."""
    return await known_sessions.get(session_key, lambda: _authenticate_session(session_key))


# --- rest_framework's synchronous views --------------------------------------------------------


class ApiKeyAuthentication(BaseAuthentication):
    """``request.user`` and, as ``request.auth``, the key, from the headers."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey | None] | None:
        raw = key_in(request._request)
        if raw is None:
            return None
        caller = authenticate_key(raw)
        assert caller.key is not None
        note_use(caller.key)
        return caller.user, caller.key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(BaseAuthentication):
    """``request.user`` from the signed-in session; ``request.auth`` is None."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey | None] | None:
        user = session_user(request._request)
        if user is None:
            return None
        enforce_csrf(request._request)
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class IsCaller(BasePermission):
    """Signed in either way; else the same refusal as for a bad key."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            raise CredentialsRefused
        return True
