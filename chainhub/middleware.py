"""What every HTTP answer carries: a request id and the content security policy."""

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

# Anything else in the header is replaced: it goes into logs.
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def harmless_id(given: str) -> str:
    """The caller's own id of the request, or a new one."""
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


class RequestContext:
    """Give the request its id, which the server's log has too, and the answer its safety headers."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]):
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request.id = request_id.get() or harmless_id(given)  # type: ignore[attr-defined]
        if b"%2f" in getattr(request, "scope", {}).get("raw_path", b"").lower():
            # A server in front reads this slash as part of a name: it may guard another address.
            response: HttpResponseBase = respond(problem_of(ChainNotFound()), request)
        else:
            response = await self.get_response(request)
        response.headers["X-Request-ID"] = request.id  # type: ignore[attr-defined]
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response


class InTheLoop:
    """One of Django's own middlewares, whose hooks wait for nothing, without its trips to a thread."""

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
