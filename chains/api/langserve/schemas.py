"""The endpoints of a chain's JSON Schemas, in LangServe's format."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from chains.actions.find import aresolve
from chains.api.base import AsyncAPIView, json_response
from chains.runtime.names import split_ref
from chains.runtime.plans.base import Plan
from chains.runtime.wire.config_hash import decode_config_hash


class SchemaView(AsyncAPIView):
    """Responds with one of a chain's JSON Schemas, for the ref and the config in the address."""

    schema = None  # chains.api.schema describes these endpoints for each chain.
    switch: str

    async def get(self, request: Request, ref: str, config_hash: str = "") -> HttpResponse:
        slug, ref = split_ref(ref)
        config = decode_config_hash(config_hash) if config_hash else None
        user, switch = self.caller.user, self.switch
        _, plan = await aresolve(slug=slug, ref=ref, user=user, switch=switch, config=config)
        return json_response(self.schema_of(plan))

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        raise NotImplementedError


class InputSchemaView(SchemaView):
    switch = "input_schema"

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.input_schema


class OutputSchemaView(SchemaView):
    switch = "output_schema"

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.output_schema


class ConfigSchemaView(SchemaView):
    switch = "config_schema"

    def schema_of(self, plan: Plan) -> dict[str, Any]:
        return plan.config_schema
