"""DRF views whose handlers are coroutines. A client that disconnects cancels them."""

import json
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.auth import authenticate
from accounts.callers import Caller
from chains.api.json import json_object_in
from chains.runtime.errors import forget_frames
from chains.runtime.events import Started

RUN_ID_HEADER = "X-ChainHub-Run-ID"


class IgnoreAccept(BaseContentNegotiation):
    """Always selects JSON: LangServe's clients send ``Accept: text/event-stream`` with every request."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class AsyncAPIView(APIView):
    """Does in a coroutine what DRF's own dispatch does with switches to a thread.

    Handlers can use ``self.caller``. They return an HttpResponse that is rendered already, because Django
    renders a DRF Response in a thread.
    """

    content_negotiation_class = IgnoreAccept
    # Set once the request is authenticated.
    caller: Caller = cast(Caller, None)

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.headers: dict[str, str] = {}
        # A body is never a form here, whatever its content type. Without this, the CSRF check would parse it.
        request.POST = QueryDict()
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        try:
            handler = getattr(self, (request.method or "").lower(), None)
            if request.method not in self.allowed_methods or handler is None:
                self.headers["Allow"] = ", ".join(self.allowed_methods)
                raise MethodNotAllowed(request.method or "")
            self.caller = await authenticate(request)
            drf_request.user, drf_request.auth = self.caller.user, self.caller.key
            response = await handler(drf_request, *args, **kwargs)
        except Exception as error:
            response = self.handle_exception(error)
            forget_frames(error)
        self._note_for_access_log(response)
        response = self.finalize_response(drf_request, response, *args, **kwargs)
        # It refers to the view and the request, in a circle that only the garbage collector would find.
        drf_request.parser_context.clear()
        return response

    def _note_for_access_log(self, response: HttpResponseBase) -> None:
        """Write the user and the run into the scope's notes. Only our own server provides and reads them."""
        notes = getattr(self.request._request, "scope", {}).get("chainhub.notes", {})
        if self.caller is not None:
            notes["user"] = self.caller.user.pk
        notes["run"] = response.headers.get(RUN_ID_HEADER)

    @property
    def allowed_methods(self) -> list[str]:
        """The methods that have a handler. Django would add HEAD to every view with GET."""
        return [name.upper() for name in ("get", "head", "post") if hasattr(type(self), name)]

    def body(self) -> dict[str, Any]:
        """Return the request's JSON object; raises as ``json_object_in``."""
        return json_object_in(self.request._request)


def run_headers(started: Started) -> dict[str, str]:
    """Return the headers that name the run and the exact versions. The bodies stay LangServe's."""
    version = f"@{started.version}" if started.version is not None else f" ({started.package})"
    return {
        RUN_ID_HEADER: str(started.run_id),
        "X-ChainHub-Version": f"{started.chain}{version}",
        "X-ChainHub-Prompts": ", ".join(f"{s}@{n}" for s, n in started.prompts.items()),
    }


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """Return a response with compact JSON; non-ASCII characters are not escaped."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)
