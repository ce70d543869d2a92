"""Chains as callers see them: the list, and each one's schemas."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request

from chains.actions.runs import aresolve
from chains.api.base import AsyncAPIView, IgnoreAccept, json_response
from chains.api.pagination import BySlug
from chains.models import Chain
from chains.runtime.names import split_ref
from chains.runtime.plans.base import Plan
from chains.runtime.wire.config_hash import decode_config_hash


class SchemaView(AsyncAPIView):
    """One of a chain's JSON Schemas, as it stands for the ref and the config in the address."""

    schema = None  # Described for each chain by api.schema.
    endpoint: str

    async def get(self, request: Request, ref: str, config_hash: str = "") -> HttpResponse:
        slug, ref = split_ref(ref)
        config = decode_config_hash(config_hash) if config_hash else None
        user, endpoint = self.caller.user, self.endpoint
        _, plan = await aresolve(slug=slug, ref=ref, user=user, endpoint=endpoint, config=config)
        return json_response(self.schema_of(plan))

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        raise NotImplementedError


class InputSchemaView(SchemaView):
    endpoint = "input_schema"

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.input_schema


class OutputSchemaView(SchemaView):
    endpoint = "output_schema"

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.output_schema


class ConfigSchemaView(SchemaView):
    endpoint = "config_schema"

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.config_schema


class ChainSerializer(serializers.ModelSerializer):
    class Meta:
        model = Chain
        fields = ["slug", "name", "description", "created_at"]


class VisibleChains(generics.GenericAPIView):
    """Only chains that the caller may run."""

    serializer_class = ChainSerializer
    content_negotiation_class = IgnoreAccept

    def get_queryset(self) -> Any:
        return Chain.objects.visible_to(self.request.user).enabled()


@extend_schema(summary="List the chains one may run", tags=["chains"])
class ChainListView(VisibleChains, generics.ListAPIView):
    pagination_class = BySlug


@extend_schema(summary="A chain one may run", tags=["chains"])
class ChainDetailView(VisibleChains, generics.RetrieveAPIView):
    lookup_field = "slug"
