"""The ASGI application: Django for HTTP, Channels for WebSockets."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chainhub.settings")
# Loads the apps; the imports below need them.
http_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from chainhub.shortway import ProgramsHandler, is_call  # noqa: E402
from chains.ws.routing import websocket_application  # noqa: E402

programs_application = ProgramsHandler()


async def http(scope: Any, receive: Any, send: Any) -> None:
    await (programs_application if is_call(scope) else http_application)(scope, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": websocket_application})
