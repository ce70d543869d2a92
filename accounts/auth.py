"""Authentication of HTTP requests, for async views and for rest_framework."""

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import ParseError, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.callers import Caller, CredentialsRefused, aauthenticate_key, authenticate_key, note_use
from accounts.keys import is_meant_as_key
from accounts.models import ApiKey, User
from concurrency.database import borrowed_connection

CHALLENGE = "Bearer"
"""The value of ``WWW-Authenticate`` in a response with status 401."""


def key_in(request: HttpRequest) -> str | None:
    """Return the API key from the request's headers, "" if they contain only foreign credentials, or None.

    Raises ParseError if the two headers contain different keys of ours.
    """
    return key_among(request.META.get("HTTP_AUTHORIZATION"), request.META.get("HTTP_X_API_KEY"))


def key_among(authorization: str | None, plain: str | None) -> str | None:
    """``key_in`` for the values of the headers Authorization and X-API-Key.

    What is not meant as a key of ours, such as the Basic login of a proxy in front, is foreign. It never says
    who calls, so it does not disturb a key in the other header or a session. A key with a typing error is not
    foreign: a session must not take its place unnoticed.
    """
    if authorization is None and plain is None:
        return None
    scheme, _, bearer = (authorization or "").strip().partition(" ")
    offered = [bearer.strip() if scheme.lower() == "bearer" else "", (plain or "").strip()]
    ours = {text for text in offered if is_meant_as_key(text)}
    if len(ours) > 1:
        raise ParseError("Authorization and X-API-Key disagree. Send one of them.")
    return ours.pop() if ours else ""


# --- Async views -------------------------------------------------------------------------------


async def authenticate(request: HttpRequest) -> Caller:
    """Return the caller: by key if a header contains one, else by the session, which needs a CSRF token.

    Raises CredentialsRefused (401), ParseError (400) or PermissionDenied (403).
    """
    if raw := key_in(request):
        return await aauthenticate_key(raw)
    # Without a session cookie there is no need to query the database.
    user = await _session_user(request) if settings.SESSION_COOKIE_NAME in request.COOKIES else None
    if user is None:
        raise CredentialsRefused
    enforce_csrf(request)
    return Caller(user=user, key=None)


def session_user(request: HttpRequest) -> User | None:
    """Return the active user of the request's session, or None."""
    return request.user if isinstance(request.user, User) else None


# This switches to a thread once; request.auser() does it for the session and again for the user.
_session_user = sync_to_async(borrowed_connection()(session_user))


def enforce_csrf(request: HttpRequest) -> None:
    """Check the CSRF token of a request with a session, as Django's middleware does for forms.

    Raises PermissionDenied.
    """
    check = CSRFCheck(lambda _: HttpResponse())
    check.process_request(request)
    if reason := check.process_view(request, None, (), {}):  # type: ignore[arg-type]
        raise PermissionDenied(f"A session needs a CSRF token: {reason}", code="csrf_failed")


# --- rest_framework's synchronous views --------------------------------------------------------


class ApiKeyAuthentication(BaseAuthentication):
    """Sets ``request.user`` and, as ``request.auth``, the key, from the request's headers."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey | None] | None:
        raw = key_in(request._request)
        if not raw:
            # A foreign credential is refused where it is the only one, also at addresses that need none.
            if raw is not None and session_user(request._request) is None:
                raise CredentialsRefused
            return None
        caller = authenticate_key(raw)
        assert caller.key is not None
        note_use(caller.key)
        return caller.user, caller.key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(BaseAuthentication):
    """Sets ``request.user`` from the session; ``request.auth`` is None."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey | None] | None:
        user = session_user(request._request)
        if user is None:
            return None
        enforce_csrf(request._request)
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class IsCaller(BasePermission):
    """Allows requests with a key or a session; others get the same error as for an invalid key."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            raise CredentialsRefused
        return True
