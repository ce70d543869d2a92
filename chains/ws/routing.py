"""WebSocket URLs, behind the checks that come before a consumer."""

from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from channels.sessions import CookieMiddleware
from django.conf import settings
from django.urls import path, re_path

from chains.ws.consumers import ChainConsumer


class ExactOrigin:
    """Let in only pages of the origins in the settings, port included.

    Channels' own validator lets in every port of an allowed host, and parses a header that may be
    no URL at all.
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
    """Refuse any other path, where Channels would raise."""

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
