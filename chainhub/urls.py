"""All URLs, and the responses for addresses that do not exist."""

import sys

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import loader
from django.urls import include, path, re_path
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from accounts.hashers import TooManySignIns
from chainhub import health
from chains.api.errors import problem_of, respond
from chains.doors import FOR_PROGRAMS, dialect_of
from chains.runtime.errors import ChainHubError, ChainNotFound, DatabaseUnavailable

urlpatterns = [
    # First, because they get most of the requests.
    path("", include("chains.api.urls")),
    path("", include("chains.playground.urls")),
    path("account/", include("accounts.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
    path("healthz", health.alive),
    path("readyz", health.ready),
]


async def nothing_for_programs(request: HttpRequest) -> HttpResponse:
    return respond(problem_of(ChainNotFound()), request)


# A route instead of handler404, because Django does not call handler404 with DEBUG on.
urlpatterns.append(re_path(f"^{FOR_PROGRAMS}", csrf_exempt(nothing_for_programs)))


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond with JSON to programs, with a page to people."""
    if dialect_of(request.path_info):
        return respond(problem_of(SuspiciousOperation()), request)
    return defaults.bad_request(request, exception)


def handler500(request: HttpRequest) -> HttpResponseBase:
    """Respond with 503 if the database does not respond, or too many people sign in at once."""
    error = sys.exc_info()[1]
    is_outage = isinstance(error, OperationalError | InterfaceError)
    if dialect_of(request.path_info):
        return respond(problem_of(DatabaseUnavailable() if is_outage else ChainHubError()), request)
    if is_outage or isinstance(error, TooManySignIns):
        return HttpResponse(
            loader.render_to_string("503.html"),
            status=503,
            headers={"Retry-After": f"{DatabaseUnavailable.retry_after_s:.0f}"},
        )
    return defaults.server_error(request)
