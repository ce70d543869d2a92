"""Running chains, in LangServe's wire format, and one's own runs as a resource."""

import uuid
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request

from chains.actions.resolve import split_ref
from chains.actions.runs import (
    RunCall,
    RunResult,
    check_batch,
    run_batch,
    run_chain,
    start_run,
)
from chains.api.base import AsyncAPIView, IgnoreAccept, json_response
from chains.api.pages import NewestFirst
from chains.api.sse import RunStreamResponse
from chains.models import Run
from chains.runtime.errors import InvalidInput
from chains.runtime.events import Started


class RunView(AsyncAPIView):
    """What the run endpoints share: the body's outer form and the call made of it."""

    schema = None  # Described for each chain by api.schema.

    def call(self, ref: str, value: Any, **options: Any) -> RunCall:
        slug, ref = split_ref(ref)
        return RunCall(slug=slug, ref=ref, caller=self.caller, input=value, **options)

    def input(self) -> Any:
        body = self.body()
        value = self.required(body, "input")
        self.check_config(body.get("config"))
        return value

    def required(self, body: dict[str, Any], name: str) -> Any:
        if name not in body:
            fault = {"type": "missing", "loc": [name], "msg": "Field required"}
            raise InvalidInput("The body is not complete.", errors=[fault])
        return body[name]

    def check_config(self, config: Any, *place: str | int) -> None:
        """It changes nothing yet, but a client whose config is no object has lost its way."""
        if config is not None and not isinstance(config, dict):
            fault = {"type": "dict_type", "loc": ["config", *place], "msg": "Input should be an object"}
            raise InvalidInput("The body is not valid.", errors=[fault])


class InvokeView(RunView):
    async def post(self, request: Request, ref: str) -> HttpResponse:
        value = self.input()
        call = self.call(ref, value, source=Run.Source.REST, streaming=False)
        result = await run_chain(call)
        return json_response(
            {"output": result.output, "metadata": _metadata(result)},
            headers=_headers(result.started) | _cost_header([result]),
        )


class BatchView(RunView):
    async def post(self, request: Request, ref: str) -> HttpResponse:
        inputs = self.inputs()
        batch_id = uuid.uuid4()
        options = {"source": Run.Source.BATCH, "streaming": False, "parent_id": batch_id}
        calls = [self.call(ref, value, **options) for value in inputs]
        await check_batch(self.call(ref, None, **options), calls)
        results = await run_batch(calls)
        metadata = {
            "responses": [_metadata(result) for result in results],
            "run_ids": [str(result.run_id) for result in results],
        }
        return json_response(
            {"output": [result.output for result in results], "metadata": metadata},
            headers=(_headers(results[0].started) | _cost_header(results)) if results else None,
        )

    def inputs(self) -> list[Any]:
        body = self.body()
        inputs, config = self.required(body, "inputs"), body.get("config")
        _check_inputs(inputs)
        if not isinstance(config, list):
            self.check_config(config)
            return inputs
        if len(config) != len(inputs):
            counts = f"Number of configs ({len(config)}) must match number of inputs ({len(inputs)})"
            raise InvalidInput(counts)
        for index, one in enumerate(config):
            self.check_config(one, index)
        return inputs


class StreamView(RunView):
    async def post(self, request: Request, ref: str) -> HttpResponseBase:
        value = self.input()
        stream = await start_run(self.call(ref, value, source=Run.Source.SSE))
        return RunStreamResponse(stream, headers=_headers(stream.started))


def _check_inputs(inputs: Any) -> None:
    if not isinstance(inputs, list):
        fault = {"type": "list_type", "loc": ["inputs"], "msg": "Input should be a list"}
        raise InvalidInput("The body is not valid.", errors=[fault])
    if len(inputs) > settings.MAX_BATCH_INPUTS:
        limit = f"List should have at most {settings.MAX_BATCH_INPUTS} items"
        fault = {"type": "too_long", "loc": ["inputs"], "msg": limit}
        raise InvalidInput("The batch is too large.", errors=[fault])


def _metadata(result: RunResult) -> dict[str, Any]:
    return {"run_id": str(result.run_id), "feedback_tokens": []}


def _headers(started: Started) -> dict[str, str]:
    """Which run answered, and the exact versions; the bodies are as LangServe's clients know them."""
    return {
        "X-ChainHub-Run-ID": str(started.run_id),
        "X-ChainHub-Version": f"{started.chain}@{started.version}",
        "X-ChainHub-Prompts": ", ".join(f"{s}@{n}" for s, n in started.prompts.items()),
    }


def _cost_header(results: list[RunResult]) -> dict[str, str]:
    """The sum in US dollars, where all parts are known."""
    costs = [result.figures.cost_usd for result in results]
    known = [cost for cost in costs if cost is not None]
    return {"X-ChainHub-Cost": format(sum(known), "f")} if len(known) == len(costs) else {}


# --- One's own runs ----------------------------------------------------------------------------


class RunSerializer(serializers.ModelSerializer):
    chain = serializers.CharField(source="chain_slug")
    version = serializers.IntegerField(source="chain_version_number")
    key = serializers.CharField(source="key_id", allow_null=True)

    class Meta:
        model = Run
        fields = [
            "id",
            "parent_id",
            "chain",
            "version",
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
            "created_at",
            "ended_at",
            "first_token_ms",
            "latency_ms",
        ]


class OwnRuns(generics.GenericAPIView):
    """Only what the caller may see, whoever asks."""

    serializer_class = RunSerializer
    content_negotiation_class = IgnoreAccept

    def get_queryset(self) -> Any:
        runs = Run.objects.visible_to(self.request.user)
        columns = {"chain": "chain_slug", "status": "status", "source": "source"}
        given = self.request.query_params
        wanted = {column: given[name] for name, column in columns.items() if name in given}
        if not all(value.isprintable() for value in wanted.values()):
            # No row has such a value, and Postgres refuses to look for U+0000.
            return runs.none()
        return runs.filter(**wanted)


@extend_schema(summary="List one's own runs, newest first", tags=["runs"])
class RunListView(OwnRuns, generics.ListAPIView):
    pagination_class = NewestFirst


@extend_schema(summary="One of one's own runs", tags=["runs"])
class RunDetailView(OwnRuns, generics.RetrieveAPIView):
    lookup_url_kwarg = "run_id"
