"""The OpenAPI 3.1 document.

drf-spectacular describes the resources. This module adds the run endpoints of each chain, with the chain's
own JSON Schemas.
"""

import threading
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from chains.actions.find import Found, resolve
from chains.api.base import IgnoreAccept
from chains.doors import DOORS, Door, switches
from chains.models import Chain
from chains.runtime.errors import ChainHubError
from chains.runtime.events import Mode
from chains.runtime.plans.base import Plan

# All requests share the descriptor objects of rest_framework's schemas, and such an object stores the view
# that it is used for at the moment. So only one document may be generated at a time.
ONE_AT_A_TIME = threading.Lock()

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
TEXTS = {"type": ["array", "null"], "items": {"type": "string"}}
FILTERS = {f"{verb}_{what}": TEXTS for verb in ("include", "exclude") for what in ("names", "types", "tags")}
EVENTS: dict[Mode, str] = {
    "stream": "metadata, data ..., then end or error.",
    "events": "LangChain's events (v2) as data, then end or error.",
    "log": "RFC 6902 patches as data, then end or error.",
}
PARTIAL = {
    "name": "partial",
    "in": "query",
    "schema": {"type": "boolean"},
    "description": "Failures stand in metadata.errors beside the good answers, instead of failing the batch.",
}
FEEDBACK = {
    "type": "object",
    "properties": {
        "run_id": {"type": "string", "format": "uuid"},
        "key": {"type": "string"},
        "score": {"type": ["number", "boolean", "null"]},
        "value": {},
        "comment": {"type": ["string", "null"]},
    },
    "required": ["run_id", "key"],
}


class OpenAPIView(SpectacularAPIView):
    """Responds with the document. It contains only chains that the caller may run."""

    renderer_classes = [OpenApiJsonRenderer]
    content_negotiation_class = IgnoreAccept

    def _get_schema_response(self, request: Request) -> Response:
        with ONE_AT_A_TIME:
            return super()._get_schema_response(request)  # type: ignore[no-untyped-call]


class DocsView(SpectacularSwaggerSplitView):
    content_negotiation_class = IgnoreAccept
    template_name = "chains/docs.html"


def add_chain_paths(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the paths of each chain that the caller may run. drf-spectacular's post-processing hook."""
    schemas = result["components"].setdefault("schemas", {})
    schemas["Error"] = ERROR
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return result
    for found, plan in _plans(user):
        try:
            schemas.update(_schemas(plan))
        except ChainHubError:
            # The input or output of a code chain may have no JSON Schema.
            continue
        result["paths"].update(_paths(plan, offered=_offered(found, user)))
    return result


def _offered(found: Found, user: User) -> list[str]:
    """Return the names of the chain's endpoints that this caller may use."""
    hidden: set[str] = set()
    if not found.shows_steps_to(user):
        hidden = {door.switch for door in DOORS.values() if door.shows_steps}
    return [name for name in switches() if found.chain.is_open(name) and name not in hidden]


def _plans(user: User) -> Iterator[tuple[Found, Plan]]:
    """Yield the production plans of the user's chains, without the chains that cannot run now."""
    for slug in Chain.objects.visible_to(user).enabled().order_by("slug").values_list("slug", flat=True):
        try:
            yield resolve(slug=slug, user=user)
        except ChainHubError:
            continue


def _schemas(plan: Plan) -> dict[str, Any]:
    """Return the chain's input and output schemas as components of the document."""
    own = {"input": plan.input_schema, "output": plan.output_schema}
    return {
        f"{plan.chain_slug}.{kind}": _rebased(schema, _ref(plan, kind)["$ref"])
        for kind, schema in own.items()
    }


def _ref(plan: Plan, kind: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{plan.chain_slug}.{kind}"}


def _rebased(node: Any, base: str) -> Any:
    """Return the schema for use as a part of the document, where its root is at ``base``.

    References from the schema's own root get ``base`` in front of them.
    """
    if isinstance(node, list):
        return [_rebased(inner, base) for inner in node]
    if not isinstance(node, dict):
        return node
    result = {key: _rebased(inner, base) for key, inner in node.items()}
    if str(result.get("$ref", "")).startswith("#"):
        result["$ref"] = base + result["$ref"][1:]
    if isinstance(result.get("$id"), str):
        del result["$id"]
    return result


def _paths(plan: Plan, *, offered: list[str]) -> dict[str, Any]:
    base = f"/chains/{plan.chain_slug}"
    operations = {
        door.name: _run_operation(plan, door) for door in DOORS.values() if door.dialect == "langserve"
    }
    operations["feedback"] = _operation(plan, "feedback", FEEDBACK, _json({"type": "object"}))
    schemas = {
        f"{name}_schema": _operation(plan, f"{name}_schema", None, _json({"type": "object"}))
        for name in ("input", "output", "config")
    }
    posts = {f"{base}/{name}": {"post": operations[name]} for name in operations if name in offered}
    gets = {f"{base}/{name}": {"get": schemas[name]} for name in schemas if name in offered}
    return posts | gets


def _run_operation(plan: Plan, door: Door) -> dict[str, Any]:
    value, output = _ref(plan, "input"), _ref(plan, "output")
    if door.takes_many:
        values = {"type": "array", "items": value, "maxItems": settings.MAX_BATCH_INPUTS}
        outputs = {"output": {"type": "array", "items": output}, "metadata": {"type": "object"}}
        answers = _json({"type": "object", "properties": outputs})
        many = _operation(plan, door.name, _body({"inputs": values}, ["inputs"]), answers)
        return many | {"parameters": [PARTIAL]}
    filters = FILTERS if door.shows_steps else {}
    answer = _json({"type": "object", "properties": {"output": output, "metadata": RUN_METADATA}})
    if door.mode != "whole":
        answer = _events(EVENTS[door.mode])
    return _operation(plan, door.name, _body({"input": value, **filters}, ["input"]), answer)


def _events(description: str) -> dict[str, Any]:
    return {"text/event-stream": {"schema": {"type": "string", "description": description}}}


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
        "security": [{"bearer": []}, {"apiKey": []}, {"session": []}],
        "responses": {"200": {"description": "OK", "content": content}, "default": error},
    }
    if body:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation
