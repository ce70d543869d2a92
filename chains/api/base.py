"""DRF views whose handlers are coroutines: a client that leaves cancels them."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.auth import authenticate
from accounts.callers import Caller
from chains.api.json import StrictJSONParser


class IgnoreAccept(BaseContentNegotiation):
    """JSON whatever the client says it accepts: LangServe's ask for an event stream everywhere."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class AsyncAPIView(APIView):
    """What DRF's own dispatch does, without its trips to a thread; handlers find ``self.caller``.

    Every answer is rendered already, because Django renders a DRF Response in a thread.
    """

    content_negotiation_class = IgnoreAccept
    caller: Caller

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.headers: dict[str, str] = {}
        # No body is a form, whatever it calls itself: the check for CSRF would read it as one.
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
            self._note_for_access_log(response)
        except Exception as error:
            response = self.handle_exception(error)
        return self.finalize_response(drf_request, response, *args, **kwargs)

    def _note_for_access_log(self, response: HttpResponseBase) -> None:
        """What only the application knows of a request; other servers than ours do not ask."""
        notes = getattr(self.request._request, "scope", {}).get("chainhub.notes", {})
        notes["user"] = self.caller.user.pk
        notes["run"] = response.headers.get("X-ChainHub-Run-ID")

    @property
    def allowed_methods(self) -> list[str]:
        """Those with a handler of their own; Django would answer HEAD wherever there is GET."""
        return [name.upper() for name in ("get", "head", "post") if hasattr(type(self), name)]

    def body(self) -> dict[str, Any]:
        """The request's JSON object; raises InvalidBody."""
        return StrictJSONParser().parse(self.request._request)  # type: ignore[arg-type]


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """Compact JSON with non-ASCII text left as it is."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)
