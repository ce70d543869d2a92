"""Runs a plan: LangChain underneath, events out."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import Runnable, RunnableConfig

from chains.runtime import errors
from chains.runtime.direct import DirectChain
from chains.runtime.events import Chunk, Inner
from chains.runtime.plans.base import Plan
from chains.runtime.providers.calls import TRACE, ModelCall, Trace
from chains.runtime.running.inner import InnerFilter, RunLog, pieces_of, plain
from chains.runtime.wire.values import add, encode
from concurrency.loops import per_loop

MAX_BUILT_PLANS = 256

Mode = Literal["whole", "stream", "events", "log"]
"""What is told while the run goes: nothing, its chunks, or beside them its inner steps as events or a log."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run that succeeded; ``output`` is what its last step gave."""

    output: Any
    calls: tuple[ModelCall, ...]

    @property
    def finish_reason(self) -> str:
        return self.calls[-1].finish_reason if self.calls else ""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a plan; ``value`` is what the plan's ``check_input`` gave, ``config`` names the run."""

    plan: Plan
    value: Any
    mode: Mode
    trace: Trace
    config: RunnableConfig = field(default_factory=lambda: RunnableConfig())
    inner: InnerFilter = field(default_factory=InnerFilter)

    async def result(self) -> Result:
        """Run to the end; what the mode asks for goes to ``trace.emit`` as it comes.

        Raises ProviderError, OutputInvalid, RunTimeout, and what a chain in code raises.
        """
        token = TRACE.set(self.trace)
        try:
            async with asyncio.timeout(self.plan.run_timeout_s) as limit:
                output = await self._output()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise errors.RunTimeout() from error
        except OutputParserException as error:
            raise errors.OutputInvalid() from error
        except Exception as error:
            if (known := self.plan.known_fault(error)) is None:
                raise
            raise known from error
        finally:
            TRACE.reset(token)
            await self.trace.close_streams()
        return Result(output=output, calls=tuple(self.trace.calls))

    async def _output(self) -> Any:
        built = built_for(self.plan)
        direct, runnable = built.direct, built.runnable
        config = self.config if direct else self.plan.listening(self.config, self.trace)
        if self.mode == "whole":
            return await (direct.whole(self.value) if direct else runnable.ainvoke(self.value, config))
        if self.mode == "stream":
            pieces = direct.pieces(self.value) if direct else runnable.astream(self.value, config)
        else:
            pieces = self._inner_pieces(runnable.astream_events(self.value, config, version="v2"))
        chunks: list[Any] = []
        async with aclosing(pieces) as stream:  # type: ignore[type-var]
            async for chunk in stream:
                if self.plan.is_piece(chunk):
                    chunks.append(chunk)
                    await self.trace.emit(Chunk(value=encode(chunk)))
        return self.plan.combine(chunks)

    async def _inner_pieces(self, events: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The run's own chunks; what is told of all that happens inside goes to ``trace.emit``."""
        log: RunLog | None = None
        so_far, has_streamed = None, False
        async with aclosing(cast(Any, events)) as stream:
            async for event in stream:
                # The run itself is the first to tell of its start.
                log = log or RunLog(run_id=event["run_id"], admits=self.inner)
                told, is_own = plain(event), event["run_id"] == log.run_id
                pieces = pieces_of(event, has_streamed=has_streamed) if is_own else []
                for piece in pieces:
                    so_far = add(so_far, piece) if has_streamed else piece
                    has_streamed = True
                    yield piece
                if self.mode == "events":
                    if self.inner.admits(told):
                        await self.trace.emit(Inner(value=told))
                    continue
                if ops := log.patches(told, pieces, so_far):
                    await self.trace.emit(Inner(value={"ops": ops}))


@dataclass(frozen=True, kw_only=True)
class Built:
    """What runs a plan: LangChain's runnable, and a shorter way where there is one."""

    runnable: Runnable[Any, Any]
    direct: DirectChain | None


class _AllBuilt(OrderedDict[str, Built]):
    """Those that were used last, by their plan's build key."""


_built = per_loop(_AllBuilt)


def built_for(plan: Plan) -> Built:
    """Built once for each event loop."""
    built = _built()
    if plan.build_key in built:
        built.move_to_end(plan.build_key)
        return built[plan.build_key]
    built[plan.build_key] = new = Built(runnable=plan.build(), direct=plan.build_direct())
    if len(built) > MAX_BUILT_PLANS:
        built.popitem(last=False)
    return new
