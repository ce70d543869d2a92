"""WebSocket URLs, and the checks before a consumer is called."""

from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from channels.sessions import CookieMiddleware
from django.conf import settings
from django.urls import path, re_path

from chains.ws.consumers import ChainConsumer


class ExactOrigin:
    """Allows only pages of ALLOWED_ORIGINS; scheme, host and port must match.

    Channels' own validator accepts every port of an allowed host, and raises for a header that is no URL.
    """

    def __init__(self, application: Any):
        self.application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        allowed = [origin.encode() for origin in settings.ALLOWED_ORIGINS]
        if len(origins) == 1 and origins[0].lower() in allowed:
            return await self.application(scope, receive, send)
        return await WebsocketDenier()(scope, receive, send)


class NoSuchSocket:
    """Denies every other path. Channels would raise an exception."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return await WebsocketDenier()(scope, receive, send)


websocket_application = ExactOrigin(
    CookieMiddleware(
        URLRouter(
            [
                path("ws/chains/<ref:ref>/", ChainConsumer.as_asgi()),
                re_path("", NoSuchSocket()),
            ]
        )
    )
)
