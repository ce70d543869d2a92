"""OpenAPI 3.1: the resources by drf-spectacular, and each chain's run endpoints from its own schema."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.models import User
from chains.actions.resolve import resolve_plan
from chains.api.base import IgnoreAccept
from chains.models import Chain
from chains.runtime.errors import ChainHubError
from chains.runtime.plan import Plan

ERROR = {
    "type": "object",
    "properties": {
        "detail": {"description": "The message, or for invalid input a list of faults."},
        "message": {"type": "string"},
        "code": {"type": "string", "description": "Stable, for programs."},
    },
    "required": ["detail", "message", "code"],
}
RUN_METADATA = {
    "type": "object",
    "properties": {
        "run_id": {"type": "string", "format": "uuid"},
        "feedback_tokens": {"type": "array", "items": {}},
    },
}


class OpenAPIView(SpectacularAPIView):
    """The document; what a caller may not run is not in it."""

    renderer_classes = [OpenApiJsonRenderer]
    content_negotiation_class = IgnoreAccept


class DocsView(SpectacularSwaggerSplitView):
    template_name = "chains/docs.html"


def add_chain_paths(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's post-processing hook: one set of paths for each chain the caller may run."""
    result["components"].setdefault("schemas", {})["Error"] = ERROR
    for plan in _plans(getattr(request, "user", None)):
        result["paths"].update(_paths(plan))
    return result


def _plans(user: Any) -> Iterator[Plan]:
    """The production plans; a chain that cannot run now is left out."""
    if not isinstance(user, User):
        return
    for slug in Chain.objects.visible_to(user).enabled().order_by("slug").values_list("slug", flat=True):
        try:
            yield resolve_plan(slug=slug, user=user)
        except ChainHubError:
            continue


def _paths(plan: Plan) -> dict[str, Any]:
    base = f"/chains/{plan.chain_slug}"
    value, output = _self_contained(plan.input_schema), _self_contained(plan.output_schema)
    one = _body({"input": value}, ["input"])
    many = _body({"inputs": {"type": "array", "items": value, "maxItems": 100}}, ["inputs"])
    answer = {"type": "object", "properties": {"output": output, "metadata": RUN_METADATA}}
    answers = {
        "type": "object",
        "properties": {"output": {"type": "array", "items": output}, "metadata": {"type": "object"}},
    }
    stream = {
        "text/event-stream": {
            "schema": {"type": "string", "description": "metadata, data ..., then end or error."}
        }
    }
    schemas = {
        f"{base}/{name}_schema": {"get": _operation(plan, f"{name}_schema", None, _json({"type": "object"}))}
        for name in ("input", "output", "config")
    }
    return {
        f"{base}/invoke": {"post": _operation(plan, "invoke", one, _json(answer))},
        f"{base}/batch": {"post": _operation(plan, "batch", many, _json(answers))},
        f"{base}/stream": {"post": _operation(plan, "stream", one, stream)},
        **schemas,
    }


def _self_contained(schema: dict[str, Any]) -> dict[str, Any]:
    """References in a schema are relative to it; an ``$id`` keeps them so inside the document."""
    return {"$id": "urn:chainhub:schema", **schema} if "$defs" in schema else schema


def _body(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    properties = {**properties, "config": {"type": "object"}}
    return {"type": "object", "properties": properties, "required": required}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(plan: Plan, name: str, body: dict[str, Any] | None, content: Any) -> dict[str, Any]:
    error = {"description": "Refused or failed.", "content": _json({"$ref": "#/components/schemas/Error"})}
    operation = {
        "operationId": f"{plan.chain_slug}_{name}",
        "summary": f"{plan.chain_name}: {name.replace('_', ' ')}",
        "description": plan.chain_description,
        "tags": [plan.chain_slug],
        "security": [{"apiKey": []}, {"apiKeyHeader": []}, {"session": []}],
        "responses": {"200": {"description": "OK", "content": content}, "default": error},
    }
    if body:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation
