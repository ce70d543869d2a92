"""``/metrics`` for Prometheus. Only operators may read it."""

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client.exposition import choose_encoder
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.auth import IsCaller
from chains.actions import metrics
from chains.api.base import IgnoreAccept


class SeesAllRuns(BasePermission):
    """Allows users who may read all runs in the admin: the metrics are totals of these runs."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perm("chains.view_run")


class MetricsView(APIView):
    """Responds in Prometheus' text format, or in that of OpenMetrics if the client accepts it."""

    content_negotiation_class = IgnoreAccept
    permission_classes = [IsCaller, SeesAllRuns]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except (TypeError, ValueError):
            # The header has a version that is no number.
            encode, content_type = choose_encoder("")
        return HttpResponse(encode(metrics.registry()), content_type=content_type)
