"""The API's URLs: LangServe's under /chains/, resources under /api/v1/, and their description."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from chains.api import chains, runs, schema


class RefConverter(StringConverter):
    """``slug``, ``slug@label`` or ``slug@number``."""

    regex = r"[a-z0-9][a-z0-9_-]{0,63}(?:@[a-z0-9][a-z0-9_-]{0,63})?"


register_converter(RefConverter, "ref")

urlpatterns = [
    path("chains/<ref:ref>/invoke", runs.InvokeView.as_view(), name="invoke"),
    path("chains/<ref:ref>/batch", runs.BatchView.as_view(), name="batch"),
    path("chains/<ref:ref>/stream", runs.StreamView.as_view(), name="stream"),
    path("chains/<ref:ref>/input_schema", chains.InputSchemaView.as_view(), name="input_schema"),
    path("chains/<ref:ref>/output_schema", chains.OutputSchemaView.as_view(), name="output_schema"),
    path("chains/<ref:ref>/config_schema", chains.ConfigSchemaView.as_view(), name="config_schema"),
    path("api/v1/chains/", chains.ChainListView.as_view(), name="chain_list"),
    path("api/v1/chains/<slug:slug>/", chains.ChainDetailView.as_view(), name="chain_detail"),
    path("api/v1/runs/", runs.RunListView.as_view(), name="run_list"),
    path("api/v1/runs/<uuid:run_id>/", runs.RunDetailView.as_view(), name="run"),
    path("openapi.json", schema.OpenAPIView.as_view(), name="openapi"),
    path("docs/", schema.DocsView.as_view(url_name="openapi"), name="docs"),
]
