"""The ASGI application: Django for HTTP, Channels for WebSockets."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chainhub.settings")
# Loads the apps; the imports below need them.
http_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from chains.ws.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application})
