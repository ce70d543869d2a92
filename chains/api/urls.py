"""The API's URLs: LangServe's under /chains/, resources under /api/v1/, and their description."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from chains.api import chains, metrics, schema
from chains.api import runs as own_runs
from chains.api.langserve import feedback, runs


class RefConverter(StringConverter):
    """``slug``, ``slug@label`` or ``slug@number``."""

    regex = r"[a-z0-9][a-z0-9_-]{0,63}(?:@[a-z0-9][a-z0-9_-]{0,63})?"


register_converter(RefConverter, "ref")

# Each of these also answers under a config that is packed into the address, as in LangServe.
FOR_A_CONFIG = {
    "invoke": runs.InvokeView,
    "batch": runs.BatchView,
    "stream": runs.StreamView,
    "stream_events": runs.StreamEventsView,
    "stream_log": runs.StreamLogView,
    "input_schema": chains.InputSchemaView,
    "output_schema": chains.OutputSchemaView,
    "config_schema": chains.ConfigSchemaView,
}

urlpatterns = [
    *(path(f"chains/<ref:ref>/{name}", view.as_view(), name=name) for name, view in FOR_A_CONFIG.items()),
    *(
        path(f"chains/<ref:ref>/c/<str:config_hash>/{name}", view.as_view(), name=f"configured_{name}")
        for name, view in FOR_A_CONFIG.items()
    ),
    path("chains/<ref:ref>/feedback", feedback.FeedbackView.as_view(), name="feedback"),
    path("api/v1/chains/", chains.ChainListView.as_view(), name="chain_list"),
    path("api/v1/chains/<slug:slug>/", chains.ChainDetailView.as_view(), name="chain_detail"),
    path("api/v1/runs/", own_runs.RunListView.as_view(), name="run_list"),
    path("api/v1/runs/<uuid:run_id>/", own_runs.RunDetailView.as_view(), name="run"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("openapi.json", schema.OpenAPIView.as_view(), name="openapi"),
    path("docs/", schema.DocsView.as_view(url_name="openapi"), name="docs"),
]
