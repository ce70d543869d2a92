"""The run endpoints, in LangServe's wire format."""

import uuid
from functools import cached_property
from typing import Any, cast

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from chains.actions.runs import RunFailure, RunResult, run_batch, run_chain, start_run
from chains.actions.runs.call import RunCall
from chains.api.base import AsyncAPIView, json_response, run_headers
from chains.api.errors import problem_of, run_body
from chains.api.langserve.sse import RunStreamResponse
from chains.doors import Door
from chains.runtime.errors import InvalidInput
from chains.runtime.events import Chunk, Inner, Mode
from chains.runtime.names import split_ref
from chains.runtime.running.inner import InnerFilter
from chains.runtime.wire.config import merge_configs
from chains.runtime.wire.config_hash import decode_config_hash


class RunView(AsyncAPIView):
    """Base of the run endpoints: it makes a ``RunCall`` of the request."""

    schema = None  # chains.api.schema describes these endpoints for each chain.
    door: Door = cast(Door, None)  # Every route names its own.

    def call(self, ref: str, value: Any, config: Any, **options: Any) -> RunCall:
        slug, ref = split_ref(ref)
        return RunCall(
            slug=slug,
            ref=ref,
            caller=self.caller,
            door=self.door,
            input=value,
            config=config,
            headers={name.lower(): text for name, text in self.request.headers.items()},
            **options,
        )

    @cached_property
    def config_in_address(self) -> dict[str, Any]:
        packed = self.kwargs.get("config_hash")
        return decode_config_hash(packed) if packed else {}

    def call_of_body(self, ref: str, body: dict[str, Any], **options: Any) -> RunCall:
        """Return the call of a body with one ``input``. Its config overrides the config in the address."""
        config = merge_configs(self.config_in_address, body.get("config"))
        return self.call(ref, required(body, "input"), config, **options)


def required(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise InvalidInput.at([name], "missing", "Field required", message="The body is not complete.")
    return body[name]


class InvokeView(RunView):
    async def post(self, request: Request, ref: str, config_hash: str = "") -> HttpResponse:
        result = await run_chain(self.call_of_body(ref, self.body()))
        return json_response(
            {"output": result.output, "metadata": _metadata(result)},
            headers=run_headers(result.started) | _cost_header([result]),
        )


class StreamView(RunView):
    async def post(self, request: Request, ref: str, config_hash: str = "") -> HttpResponseBase:
        stream = await start_run(self.call_of_body(ref, self.body()))
        return RunStreamResponse(stream, shows=Chunk, headers=run_headers(stream.started))


class InnerStepsView(RunView):
    """Streams the events of a run's inner steps."""

    async def post(self, request: Request, ref: str, config_hash: str = "") -> HttpResponseBase:
        body = self.body()
        stream = await start_run(self.call_of_body(ref, body, inner=_filter(body)))
        return RunStreamResponse(stream, shows=Inner, headers=run_headers(stream.started))


def _filter(body: dict[str, Any]) -> InnerFilter:
    given = {name: body.get(name) for name in InnerFilter.__dataclass_fields__}
    for name, value in given.items():
        if value is not None and not _is_texts(value):
            msg = "Input should be a list of texts"
            raise InvalidInput.at([name], "list_type", msg, message="The body is not valid.")
    return InnerFilter(**given)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# --- Batches -----------------------------------------------------------------------------------


class BatchView(RunView):
    """Runs many inputs. The batch fails if one input fails.

    With ``?partial=true`` it responds with the good answers, and the failures are in ``metadata.errors``.
    """

    async def post(self, request: Request, ref: str, config_hash: str = "") -> HttpResponse:
        partial = request.query_params.get("partial", "").lower() in ("1", "true")
        body = self.body()
        inputs = _checked_inputs(required(body, "inputs"))
        configs = _configs(self.config_in_address, body.get("config"), len(inputs))
        batch = uuid.uuid4()
        calls = [self.call(ref, *pair, parent_id=batch) for pair in zip(inputs, configs, strict=True)]
        any_call = self.call(ref, None, self.config_in_address, parent_id=batch)
        outcomes = await run_batch(any_call, calls, partial=partial)
        results = [outcome for outcome in outcomes if isinstance(outcome, RunResult)]
        metadata = {
            "responses": [_metadata(outcome) for outcome in outcomes],
            "run_ids": [_run_id(outcome) for outcome in outcomes],
        }
        if partial:
            metadata["errors"] = [_error(outcome) for outcome in outcomes]
        output = [outcome.output if isinstance(outcome, RunResult) else None for outcome in outcomes]
        return json_response(
            {"output": output, "metadata": metadata},
            headers=(run_headers(results[0].started) | _cost_header(results)) if results else None,
        )


def _checked_inputs(inputs: Any) -> list[Any]:
    if not isinstance(inputs, list):
        raise InvalidInput.at(
            ["inputs"], "list_type", "Input should be a list", message="The body is not valid."
        )
    if len(inputs) > settings.MAX_BATCH_INPUTS:
        limit = f"List should have at most {settings.MAX_BATCH_INPUTS} items"
        raise InvalidInput.at(["inputs"], "too_long", limit, message="The batch is too large.")
    return inputs


def _configs(in_address: dict[str, Any], config: Any, count: int) -> list[dict[str, Any]]:
    """Return one config for each input. A ``run_id`` in a shared config counts for the first run only."""
    shared, each = in_address, config
    if not isinstance(config, list):
        shared, each = merge_configs(in_address, config), [None] * count
    if len(each) != count:
        raise InvalidInput(f"Number of configs ({len(each)}) must match number of inputs ({count})")
    others = {key: value for key, value in shared.items() if key != "run_id"}
    return [merge_configs(others if index else shared, own) for index, own in enumerate(each)]


def _run_id(outcome: RunResult | RunFailure) -> str | None:
    return str(outcome.run_id) if outcome.run_id else None


def _error(outcome: RunResult | RunFailure) -> dict[str, Any] | None:
    if isinstance(outcome, RunResult):
        return None
    problem = problem_of(outcome.error)
    return {"status_code": problem.status, **run_body(problem)}


# --- What the answers carry --------------------------------------------------------------------


def _metadata(outcome: RunResult | RunFailure) -> dict[str, Any]:
    return {"run_id": _run_id(outcome), "feedback_tokens": []}


def _cost_header(results: list[RunResult]) -> dict[str, str]:
    """Return the header with the total cost in US dollars, or no header if a cost is unknown."""
    costs = [result.figures.cost_usd for result in results]
    known = [cost for cost in costs if cost is not None]
    return {"X-ChainHub-Cost": format(sum(known), "f")} if len(known) == len(costs) else {}


def view_of(door: Door) -> Any:
    """Return the view that serves a door of LangServe's dialect."""
    if door.takes_many:
        return BatchView.as_view(door=door)
    views: dict[Mode, type[RunView]] = {
        "whole": InvokeView,
        "stream": StreamView,
        "events": InnerStepsView,
        "log": InnerStepsView,
    }
    return views[door.mode].as_view(door=door)
