"""The API's URLs: LangServe's under /chains/, resources under /api/v1/, metrics and the OpenAPI document."""

from django.urls import include, path

from chains.api import chains, metrics, runs, schema

urlpatterns = [
    path("", include("chains.api.langserve.urls")),
    path("api/v1/chains/", chains.ChainListView.as_view(), name="chain_list"),
    path("api/v1/chains/<slug:slug>/", chains.ChainDetailView.as_view(), name="chain_detail"),
    path("api/v1/runs/", runs.RunListView.as_view(), name="run_list"),
    path("api/v1/runs/<uuid:run_id>/", runs.RunDetailView.as_view(), name="run"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("openapi.json", schema.OpenAPIView.as_view(), name="openapi"),
    path("docs/", schema.DocsView.as_view(url_name="openapi"), name="docs"),
]
