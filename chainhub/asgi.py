"""The ASGI application: Django for HTTP, Channels for WebSockets."""

import asyncio
import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chainhub.settings")
# This call loads the Django apps. The imports below need them.
http_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from chainhub.logs import request_id  # noqa: E402
from chainhub.middleware import harmless_id  # noqa: E402
from chainhub.prefix import mounted  # noqa: E402
from chainhub.shortway import ProgramsHandler, is_call  # noqa: E402
from chains.actions.errors import for_caller  # noqa: E402
from chains.ws.routing import websocket_application  # noqa: E402

programs_application = ProgramsHandler()


async def http(scope: Any, receive: Any, send: Any) -> None:
    await (programs_application if is_call(scope) else http_application)(scope, receive, send)


def logged(application: Any) -> Any:
    """Wrap ``application``: its log lines carry a request id, and each exception that it raises is logged."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        request_id.set(harmless_id(b",".join(given).decode("latin-1")))
        scope.get("chainhub.notes", {})["request"] = request_id.get()
        try:
            await application(scope, receive, send)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # A WebSocket handshake failed, or a response that has already begun, or it is no Exception, such
            # as a panic of an extension module. Only the server can abort those.
            for_caller(error)
            raise

    return answer


application = mounted(ProtocolTypeRouter({"http": logged(http), "websocket": logged(websocket_application)}))
