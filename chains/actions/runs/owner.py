"""The task that owns a run: executes the run and records its end, even where the reader has left."""

import asyncio
import logging
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from chains.actions.metrics import count_end
from chains.actions.runs.admit import Admitted
from chains.actions.runs.buffer import Events
from chains.actions.runs.recorder import recorder
from chains.models import Run
from chains.runtime import errors
from chains.runtime.context import Backoff, ModelCall, RunContext
from chains.runtime.events import Chunk, Event, Failed, Figures, Finished, Status
from chains.runtime.running.execution import Execution, Result
from chains.runtime.wire.values import encode

logger = logging.getLogger(__name__)


class RunOwner:
    """Executes one run and records its end."""

    def __init__(self, admitted: Admitted):
        self.run = admitted.run
        self.events = Events()
        self.began = time.monotonic()
        self.first_token_ms: int | None = None
        self.text: list[str] = []
        self.context = RunContext(
            emit=self._emit,
            began=self.began,
            deadline=self.began + admitted.plan.run_timeout_s,
            backoff=Backoff(first_s=settings.PROVIDER_BACKOFF_SECONDS),
        )
        self.execution = Execution(
            plan=admitted.plan,
            value=admitted.input.value,
            mode=admitted.call.door.mode,
            context=self.context,
            # LangServe's clients expect these names. They replace any in the admitted config.
            config={
                **admitted.config,
                "run_id": self.run.id,
                "run_name": f"/{admitted.plan.chain_slug}",
            },
            inner=admitted.call.inner,
        )
        self.state: Literal["new", "running", "closing"] = "new"
        self.stopped_as: Status | None = None

    def stop(self, task: "asyncio.Task[None]", status: Status) -> None:
        """Cancel ``task``, unless the run's end is being recorded. A new task stops as soon as it starts."""
        if self.stopped_as or self.state == "closing":
            # A second cancellation would interrupt the closing of the connection to the provider.
            return
        self.stopped_as = status
        if self.state == "running":
            task.cancel()

    async def drive(self) -> None:
        self.state = "running"
        try:
            if self.stopped_as:
                raise asyncio.CancelledError
            end: Finished | Failed = self._finished(await self.execution.result())
        except asyncio.CancelledError:
            end = self._stopped()
            task = asyncio.current_task()
            if self.stopped_as is None and not (task and task.cancelling()):
                logger.exception("run %s was cancelled from inside", self.run.id)
                end = self._failed(errors.ChainHubError())
        except errors.ChainHubError as error:
            # Only the class names of the causes, whose texts may quote prompts, answers and credentials.
            logger.warning("run %s failed: %s, by %s", self.run.id, error.code, _causes(error))
            end = self._failed(error)
        except (SystemExit, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException:
            # BaseException, which includes a panic in an extension module: the reader needs an end event.
            logger.exception("run %s failed", self.run.id)
            end = self._failed(errors.ChainHubError())
        self.state = "closing"
        # Record before emitting, so that a reader that has seen the end finds it in the record.
        self._note_end(end)
        count_end(self.run)
        await recorder().end(self.run)
        self.events.put_last(end)
        if self.run.package:
            await _give_connections_back()

    async def _emit(self, event: Event) -> None:
        if isinstance(event, Chunk):
            if self.first_token_ms is None:
                self.first_token_ms = self.context.elapsed_ms
            if isinstance(event.value, str):
                self.text.append(event.value)
        await self.events.put(event)

    def _note_end(self, end: Finished | Failed) -> None:
        run, figures = self.run, end.figures
        if isinstance(end, Finished):
            run.status, run.output, run.finish_reason = Run.Status.SUCCEEDED, end.output, end.finish_reason
        else:
            run.status, run.output = end.status, self._partial_output()
            run.error_code, run.error_message = end.error.code, str(end.error)[:500]
        run.calls = [_call_row(call) for call in self.context.calls]
        run.input_tokens, run.output_tokens = figures.input_tokens, figures.output_tokens
        run.cost_usd, run.first_token_ms = figures.cost_usd, figures.first_token_ms
        run.latency_ms, run.ended_at = figures.latency_ms, timezone.now()

    def _finished(self, result: Result) -> Finished:
        return Finished(
            run_id=self.run.id,
            output=encode(result.output),
            finish_reason=result.finish_reason,
            figures=self._figures(),
        )

    def _failed(self, error: errors.ChainHubError, status: Status = "failed") -> Failed:
        return Failed(run_id=self.run.id, status=status, error=error, figures=self._figures())

    def _stopped(self) -> Failed:
        if self.stopped_as == "cancelled":
            return self._failed(errors.RunCancelled(), "cancelled")
        return self._failed(errors.RunInterrupted(), "interrupted")

    def _partial_output(self) -> Any:
        """The text that was streamed before the run failed or was stopped; other kinds are not kept."""
        return encode("".join(self.text)) if self.text else None

    def _figures(self) -> Figures:
        usages = [call.usage for call in self.context.calls if call.usage]
        costs = [call.cost_usd for call in self.context.calls if call.cost_usd is not None]
        return Figures(
            input_tokens=sum(usage.input_tokens for usage in usages) if usages else None,
            output_tokens=sum(usage.output_tokens for usage in usages) if usages else None,
            # Unknown where the cost of any call is unknown, because a partial sum would be wrong.
            cost_usd=sum(costs, Decimal()) if costs and len(costs) == len(self.context.calls) else None,
            first_token_ms=self.first_token_ms,
            latency_ms=self.context.elapsed_ms,
        )


async def _give_connections_back() -> None:
    """Close the database connections that a code chain's own code may have opened.

    Django closes connections at the end of a request, but none ends for the thread of that code.
    """
    # The thread of a request no longer exists once the response is sent, nor do its connections.
    with suppress(RuntimeError):
        await sync_to_async(close_old_connections)()


def _causes(error: BaseException) -> str:
    """The class names of the error and of its causes, nearest first."""
    names, cause = [type(error).__name__], error.__cause__
    while cause is not None:
        names.append(type(cause).__name__)
        cause = cause.__cause__
    return " < ".join(names)


def _call_row(call: ModelCall) -> dict[str, Any]:
    return {
        "step": call.step,
        "provider": call.provider,
        "model": call.model,
        "attempts": call.attempts,
        "finish_reason": call.finish_reason,
        "input_tokens": call.usage.input_tokens if call.usage else None,
        "output_tokens": call.usage.output_tokens if call.usage else None,
        "cost_usd": str(call.cost_usd) if call.cost_usd is not None else None,
    }
