"""The short way through Django for programs that call a chain with a key.

A stock request passes a dozen middlewares and two signals, most of which hop to a thread and none of
which a call with a key needs: it has no session, no form and no page. Everything else about it is
Django's: the URLs, the DRF views, the responses.
"""

import asyncio
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from chainhub.middleware import Common, RequestContext, Security, XFrameOptions
from chains.doors import short_way

MIDDLEWARE: list[Any] = [RequestContext, Security, Common, XFrameOptions]
RUN_PATH = short_way()


def is_call(scope: Any) -> bool:
    """Whether a request runs a chain with a key; what comes from a page in a browser does not count."""
    if not RUN_PATH.fullmatch(scope["path"]):
        return False
    names = {name for name, _ in scope["headers"]}
    return b"origin" not in names and bool(names & {b"authorization", b"x-api-key"})


# The other middlewares of the settings, and why a call with a key needs none of them.
LEFT_OUT = {
    "corsheaders.middleware.CorsMiddleware": "What has an Origin goes the long way.",
    "servestatic.middleware.ServeStaticMiddleware": "No address of a run is that of a file.",
    "django.contrib.sessions.middleware.SessionMiddleware": "The key says who calls; no cookie counts.",
    "django.middleware.csrf.CsrfViewMiddleware": "No browser sends a key by itself.",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "The views look the key up themselves.",
    "django.contrib.messages.middleware.MessageMiddleware": "Messages are for pages.",
}


class ProgramsHandler(ASGIHandler):
    """Django's handler with the middlewares above, and without threads."""

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
        """A client that leaves cancels the view, or the sending of what it gave."""
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
                # Gives nothing back that would wait: no file, no connection to a database.
                response.close()
