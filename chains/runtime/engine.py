"""Runs a plan: input checked against its schema, LangChain underneath, events out."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from chains.runtime import errors
from chains.runtime.calls import TRACE, GuardedModel, ModelCall, Trace
from chains.runtime.events import Chunk, Event
from chains.runtime.loops import per_loop
from chains.runtime.parsers import build_parser, combine
from chains.runtime.plan import Plan, PlanStep
from chains.runtime.prompts import as_text
from chains.runtime.values import decode_messages, encode

MAX_BUILT_PLANS = 256


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run that succeeded; ``output`` is what the last step's parser gave."""

    output: Any
    calls: tuple[ModelCall, ...]

    @property
    def finish_reason(self) -> str:
        return self.calls[-1].finish_reason if self.calls else ""


async def execute(plan: Plan, value: Mapping[str, Any], *, streaming: bool, trace: Trace) -> Result:
    """Run ``plan`` on an input that ``check_input`` has returned.

    Where ``streaming``, chunks go to ``trace.emit`` as they come.
    Raises ProviderError, OutputInvalid, RunTimeout.
    """
    token = TRACE.set(trace)
    inputs = _for_langchain(plan, value)
    try:
        async with asyncio.timeout(plan.run_timeout_s) as limit:
            if streaming:
                output = await _stream(plan, inputs, trace.emit)
            else:
                output = await runnable_for(plan).ainvoke(inputs)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise errors.RunTimeout() from error
    except OutputParserException as error:
        raise errors.OutputInvalid() from error
    finally:
        TRACE.reset(token)
        await trace.close_streams()
    return Result(output=output, calls=tuple(trace.calls))


async def _stream(plan: Plan, inputs: dict[str, Any], emit: Callable[[Event], Awaitable[None]]) -> Any:
    chunks: list[Any] = []
    async with aclosing(runnable_for(plan).astream(inputs)) as stream:  # type: ignore[type-var]
        async for chunk in stream:
            # Providers open and close a stream with empty texts.
            if chunk == "":
                continue
            chunks.append(chunk)
            await emit(Chunk(value=chunk))
    return combine(plan.steps[-1].parser, chunks)


# --- Input -------------------------------------------------------------------------------------


def check_input(plan: Plan, value: Any) -> dict[str, Any]:
    """The input with defaults filled in and unknown keys dropped; raises InvalidInput."""
    schema = plan.input_schema
    faults = sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: str(e.path))
    if faults:
        raise errors.InvalidInput(errors=[_field_error(fault) for fault in faults[:20]])
    properties: Mapping[str, Any] = schema["properties"]
    defaults = {name: p["default"] for name, p in properties.items() if "default" in p}
    return defaults | {name: value[name] for name in properties if name in value}


def _field_error(fault: ValidationError) -> errors.FieldError:
    """A jsonschema fault in the words of pydantic's errors, which LangServe's clients know."""
    loc, wanted = list(fault.absolute_path), cast(Any, fault.validator_value)
    if fault.validator == "required":
        # One fault for each missing name, of which only the message tells which it is.
        named = [name for name in wanted if fault.message.startswith(repr(name))]
        return {"type": "missing", "loc": [*loc, *named[:1]], "msg": "Field required"}
    if fault.validator == "type":
        return {"type": f"{wanted}_type", "loc": loc, "msg": f"Input should be of type {wanted}"}
    if fault.validator == "enum":
        allowed = ", ".join(str(choice) for choice in wanted)
        return {"type": "enum", "loc": loc, "msg": f"Input should be one of: {allowed}"}
    return {"type": str(fault.validator), "loc": loc, "msg": "Input does not fit the schema"}


def _for_langchain(plan: Plan, value: Mapping[str, Any]) -> dict[str, Any]:
    """Messages decoded and everything else as text; an optional placeholder may be absent."""
    kinds = {name: schema["type"] for name, schema in plan.input_schema["properties"].items()}
    return {
        name: decode_messages(inner) if kinds[name] == "array" else as_text(inner)
        for name, inner in value.items()
    }


# --- Building ----------------------------------------------------------------------------------


class _Built(OrderedDict[str, Runnable[Any, Any]]):
    """The runnables that were used last, by their plan's build key."""


_built = per_loop(_Built)


def runnable_for(plan: Plan) -> Runnable[Any, Any]:
    """The plan's runnable, built once for each event loop."""
    built = _built()
    if plan.build_key in built:
        built.move_to_end(plan.build_key)
        return built[plan.build_key]
    built[plan.build_key] = runnable = build(plan)
    if len(built) > MAX_BUILT_PLANS:
        built.popitem(last=False)
    return runnable


def build(plan: Plan) -> Runnable[Any, Any]:
    """``prompt | model | parser`` for each step; every step's output joins what the next ones see."""
    *before, last = plan.steps
    runnable = _build_step(last, follows=bool(before))
    for index, step in reversed(list(enumerate(before))):
        runnable = _assign(step, follows=index > 0) | runnable
    return runnable


def _assign(step: PlanStep, *, follows: bool) -> Runnable[Any, Any]:
    """The step's output beside what came in; always whole, for nobody reads its pieces.

    RunnablePassthrough.assign streams in tasks of its own, which a cancelled run would leave behind
    with their calls to the provider.
    """
    assign = RunnablePassthrough.assign(**{step.name: _build_step(step, follows=follows)})

    async def whole(values: Mapping[str, Any]) -> dict[str, Any]:
        return await assign.ainvoke(dict(values))

    return RunnableLambda(whole)


def _build_step(step: PlanStep, *, follows: bool) -> Runnable[Any, Any]:
    chain = step.prompt.to_langchain() | GuardedModel.for_step(step) | build_parser(step.parser)
    return _texts(keep=step.prompt.placeholders) | chain if follows else chain


def _texts(keep: Collection[str]) -> Runnable[Any, Any]:
    """What earlier steps gave as text; where a placeholder takes it, as a message of the model's."""

    async def texts(values: Mapping[str, Any]) -> dict[str, Any]:
        return {n: _messages(value) if n in keep else _text(value) for n, value in values.items()}

    return RunnableLambda(texts)


def _messages(value: Any) -> list[BaseMessage]:
    """Never what an answer says of itself: JSON that looks like messages would choose its own role."""
    if isinstance(value, list) and all(isinstance(item, BaseMessage) for item in value):
        return value
    return [AIMessage(_text(value))]


def _text(value: Any) -> str:
    return value.text if isinstance(value, BaseMessage) else as_text(encode(value))
