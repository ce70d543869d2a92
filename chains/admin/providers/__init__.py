"""Providers in the admin. Their secrets can be entered, but no page ever shows them."""

from django.contrib import admin

from chains.admin.providers.page import ProviderAdmin
from chains.models import Provider

admin.site.register(Provider, ProviderAdmin)
