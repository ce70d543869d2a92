"""Every URL, by way in."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("chains.playground.urls")),
    path("", include("chains.api.urls")),
    path("account/", include("accounts.urls")),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
]
