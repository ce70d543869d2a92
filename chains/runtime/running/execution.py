"""Runs a plan within its time limit and emits the events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import RunnableConfig

from chains.runtime import errors
from chains.runtime.context import ModelCall, RunContext
from chains.runtime.events import Chunk, Mode
from chains.runtime.plans.base import Plan
from chains.runtime.running.inner import InnerFilter, InnerView
from chains.runtime.wire.values import encode


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a successful run; ``output`` is the output of its last step."""

    output: Any
    calls: tuple[ModelCall, ...]

    @property
    def finish_reason(self) -> str:
        return self.calls[-1].finish_reason if self.calls else ""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a plan.

    ``value`` is an input that the plan's ``check_input`` returned. ``config`` has the run's id and name for
    LangChain. ``inner`` selects the inner steps that are emitted.
    """

    plan: Plan
    value: Any
    mode: Mode
    context: RunContext
    config: RunnableConfig = field(default_factory=lambda: RunnableConfig())
    inner: InnerFilter = field(default_factory=InnerFilter)

    async def result(self) -> Result:
        """Run to the end, and emit meanwhile what the mode asks for.

        Raises ProviderError, OutputInvalid, RunTimeout, and whatever the code of a code chain raises.
        """
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
        return Result(output=output, calls=tuple(self.context.calls))

    async def _output(self) -> Any:
        if self.mode == "whole":
            return await self.plan.invoke(self.value, self.context, self.config)
        pieces: list[Any] = []
        async with aclosing(self._pieces()) as stream:
            async for piece in stream:
                pieces.append(piece)
                await self.context.emit(Chunk(value=encode(piece)))
        return self.plan.whole(pieces)

    def _pieces(self) -> AsyncGenerator[Any, None]:
        if self.mode == "stream":
            return self.plan.stream(self.value, self.context, self.config)
        view = InnerView(admits=self.inner, as_log=self.mode == "log", emit=self.context.emit)
        return view.pieces(self.plan, self.value, self.context, self.config)
