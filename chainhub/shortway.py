"""The short way through Django for programs that call a chain with an API key.

On Django's normal way a request passes about a dozen middlewares and two signals, most of which switch to a
thread. A call with a key has no session, no form and no page, so it needs few of the middlewares and none
of the signals. The URLs, the DRF views and the responses are the same on both ways.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix
from rest_framework.exceptions import ParseError

from accounts.auth import key_among
from chainhub.middleware import Common, RequestContext, Security, XFrameOptions
from chainhub.prefix import path_in
from chains.doors import short_way

MIDDLEWARE: list[Any] = [RequestContext, Security, Common, XFrameOptions]
RUN_PATH = short_way()


def is_call(scope: Any) -> bool:
    """Return whether a request runs a chain with a key and has no Origin, which only browsers send."""
    if not RUN_PATH.fullmatch(path_in(scope)):
        return False
    names = {name for name, _ in scope["headers"]}
    if b"origin" in names or not names & {b"authorization", b"x-api-key"}:
        return False
    # Beside a foreign credential a session counts, and only the long way reads sessions.
    return b"cookie" not in names or has_key(scope["headers"])


def has_key(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether the headers name one key of ours, joined as Django joins repeated headers."""
    values: dict[bytes, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value.decode("latin-1"))
    authorization, plain = (",".join(values.get(name, [])) for name in (b"authorization", b"x-api-key"))
    try:
        return bool(key_among(authorization, plain))
    except ParseError:
        return True  # Two keys: the view refuses them, on either way.


# The middlewares of the settings that the short way leaves out, each with the reason.
LEFT_OUT = {
    "corsheaders.middleware.CorsMiddleware": "What has an Origin goes the long way.",
    "servestatic.middleware.ServeStaticMiddleware": "No address of a run is that of a file.",
    "django.contrib.sessions.middleware.SessionMiddleware": "The key says who calls; no cookie counts.",
    "django.middleware.csrf.CsrfViewMiddleware": "No browser sends a key by itself.",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "The views look the key up themselves.",
    "django.contrib.messages.middleware.MessageMiddleware": "Messages are for pages.",
}


class ProgramsHandler(ASGIHandler):
    """Django's ASGI handler with only the middlewares above, and without threads."""

    def load_middleware(self, is_async: bool = True) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        handler = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        for middleware in reversed(MIDDLEWARE):
            handler = convert_exception_to_response(middleware(handler))
        self._middleware_chain = handler

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        request, refusal = self.create_request(scope, body)
        try:
            if request is not None:
                await self._answer(request, receive, send)
            elif refusal is not None:
                await self.send_response(refusal, send)
        finally:
            body.close()

    async def _answer(self, request: HttpRequest, receive: Any, send: Any) -> None:
        """Run the view and send its response; a client that disconnects cancels either."""
        answering = asyncio.current_task()
        assert answering is not None
        left = False

        async def watch() -> None:
            nonlocal left
            if (await receive())["type"] == "http.disconnect":
                left = True
                answering.cancel()

        watching = asyncio.create_task(watch())
        response: HttpResponseBase | None = None
        try:
            response = await self.run_get_response(request)
            await self.send_response(response, send)
        except asyncio.CancelledError:
            if not left:
                raise
            answering.uncancel()
        finally:
            watching.cancel()
            if response is not None:
                # This does not block: there is no file or database connection to release.
                response.close()
