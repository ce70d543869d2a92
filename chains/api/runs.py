"""The resource ``runs`` of the API: the caller's own runs."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers

from chains.api.base import IgnoreAccept
from chains.api.pagination import NewestFirst
from chains.models import Run


class RunSerializer(serializers.ModelSerializer):
    chain = serializers.CharField(source="chain_slug")
    version = serializers.IntegerField(source="chain_version_number")
    key = serializers.CharField(source="key_id", allow_null=True)
    calls = serializers.JSONField(source="public_calls", read_only=True)

    class Meta:
        model = Run
        fields = [
            "id",
            "parent_id",
            "chain",
            "version",
            "package",
            "config",
            "prompt_versions",
            "plan_digest",
            "key",
            "source",
            "status",
            "input",
            "output",
            "error_code",
            "error_message",
            "finish_reason",
            "calls",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "cost_is_minimum",
            "created_at",
            "ended_at",
            "first_token_ms",
            "latency_ms",
        ]


class OwnRuns(generics.GenericAPIView):
    """Only the caller's own runs, whoever the caller is."""

    serializer_class = RunSerializer
    content_negotiation_class = IgnoreAccept

    def get_queryset(self) -> Any:
        runs = Run.objects.visible_to(self.request.user)
        columns = {"chain": "chain_slug", "status": "status", "source": "source"}
        given = self.request.query_params
        wanted = {column: given[name] for name, column in columns.items() if name in given}
        if not all(value.isprintable() for value in wanted.values()):
            # No row has such a value, and PostgreSQL raises for U+0000 in a query.
            return runs.none()
        return runs.filter(**wanted)


@extend_schema(summary="List one's own runs, newest first", tags=["runs"])
class RunListView(OwnRuns, generics.ListAPIView):
    pagination_class = NewestFirst


@extend_schema(summary="One of one's own runs", tags=["runs"])
class RunDetailView(OwnRuns, generics.RetrieveAPIView):
    lookup_url_kwarg = "run_id"
