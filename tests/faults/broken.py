"""The product with faults: settings, and what they add to its own middlewares and pages."""

from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from chainhub.settings import *  # noqa: F403
from chainhub.settings import MIDDLEWARE, STORAGES

MIDDLEWARE = [MIDDLEWARE[0], "tests.faults.broken.raise_if_asked", *MIDDLEWARE[1:]]
ROOT_URLCONF = "tests.faults.broken"
# Nothing is collected.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}


class Panic(BaseException):
    """What an extension module raises where it cannot go on."""


def raise_if_asked(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        if request.path == "/middleware":
            raise ValueError(f"A middleware was asked with {request.headers}")
        if request.path == "/panic":
            raise Panic(f"A middleware was asked with {request.headers}")
        return get_response(request)

    return middleware


async def pieces(request: HttpRequest) -> AsyncIterator[bytes]:
    yield b"a piece"
    raise ValueError(f"A stream was asked with {request.headers}")


@csrf_exempt
async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(pieces(request))


def cookie(request: HttpRequest) -> HttpResponse:
    """One that cannot be sent."""
    response = HttpResponse()
    response.set_cookie("taste", path="/süß")
    return response


def __getattr__(name: str) -> Any:
    """The URLs, once the apps are loaded."""
    from chainhub import urls

    if name == "urlpatterns":
        return [
            path("cookie", cookie),
            path("stream", stream),
            path("chains/broken/stream", stream),
            *urls.urlpatterns,
        ]
    return getattr(urls, name)
