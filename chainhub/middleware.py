"""Middlewares: every HTTP response gets a request id and the content security policy."""

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware

from chainhub.logs import request_id
from chains.api.errors import problem_of, respond
from chains.runtime.errors import ChainNotFound

# The id is written to logs, so any other header value is replaced by a new id.
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def harmless_id(given: str) -> str:
    """Return the caller's request id if it is safe to log, else a new one."""
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


class RequestContext:
    """Sets the request's id, the same as in the server's log, and the response's security headers."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]):
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request.id = request_id.get() or harmless_id(given)  # type: ignore[attr-defined]
        if b"%2f" in getattr(request, "scope", {}).get("raw_path", b"").lower():
            # A proxy in front may read an encoded slash as part of a name, where Django reads a separator.
            # The proxy's access rules would then check another address than the one that Django serves.
            response: HttpResponseBase = respond(problem_of(ChainNotFound()), request)
        else:
            response = await self.get_response(request)
        response.headers["X-Request-ID"] = request.id  # type: ignore[attr-defined]
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response


class InTheLoop:
    """Runs the hooks of one of Django's own middlewares in the event loop instead of in a thread.

    Only for middlewares whose hooks do not block.
    """

    sync_capable = False
    async_capable = True
    hooks_class: Any

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]):
        self.get_response = get_response
        self.hooks = self.hooks_class(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        before = getattr(self.hooks, "process_request", None)
        response = (before(request) if before else None) or await self.get_response(request)
        return self.hooks.process_response(request, response)


class Security(InTheLoop):
    hooks_class = SecurityMiddleware


class Common(InTheLoop):
    hooks_class = CommonMiddleware


class XFrameOptions(InTheLoop):
    hooks_class = XFrameOptionsMiddleware
