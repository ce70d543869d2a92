"""The admin of the chains app."""

from django.contrib import admin

from chains.admin import chains, prompts, providers, runs

__all__ = ["chains", "prompts", "providers", "runs"]

admin.site.site_header = "ChainHub"
admin.site.site_title = "ChainHub"
admin.site.index_title = "Admin"
