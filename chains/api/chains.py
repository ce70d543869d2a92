"""Chains as callers see them: the list, and each one's schemas."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request

from chains.actions.resolve import split_ref
from chains.actions.runs import RunCall, resolve
from chains.api.base import AsyncAPIView, IgnoreAccept, json_response
from chains.api.pages import BySlug
from chains.models import Chain, Run
from chains.runtime.plan import Plan


class SchemaView(AsyncAPIView):
    """One of a chain's JSON Schemas, as it stands for the ref."""

    schema = None  # Described for each chain by api.schema.

    async def get(self, request: Request, ref: str) -> HttpResponse:
        slug, ref = split_ref(ref)
        call = RunCall(slug=slug, ref=ref, caller=self.caller, input=None, source=Run.Source.REST)
        return json_response(self.schema_of(await resolve(call)))

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        raise NotImplementedError


class InputSchemaView(SchemaView):
    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.input_schema


class OutputSchemaView(SchemaView):
    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.output_schema


class ConfigSchemaView(SchemaView):
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
