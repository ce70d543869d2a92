"""Every URL, by way in, and what answers where there is none."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views import defaults

from chainhub import health
from chains.api.errors import problem_of, respond
from chains.runtime.errors import ChainHubError, ChainNotFound

urlpatterns = [
    path("", include("chains.playground.urls")),
    path("", include("chains.api.urls")),
    path("account/", include("accounts.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
    path("healthz", health.alive),
    path("readyz", health.ready),
]


def _for_programs(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/chains/")) and "playground" not in request.path


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """JSON for programs, a page for people."""
    if _for_programs(request):
        return respond(problem_of(ChainNotFound()), request)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest, *args: Any) -> HttpResponseBase:
    if _for_programs(request):
        return respond(problem_of(ChainHubError()), request)
    return defaults.server_error(request)
