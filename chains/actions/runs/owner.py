"""The task that owns a run: it drives the run to its end and records that, whoever still listens."""

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
    """Drives one run to its recorded end."""

    def __init__(self, admitted: Admitted, run: Run):
        self.run = run
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
            # The names that LangServe's clients know a run by; whatever else asks for others.
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
        """Cancel, unless the end is being recorded; a task that has not begun sees it as it does."""
        if self.stopped_as or self.state == "closing":
            # Once is enough: a second cancellation would cut the hanging up short.
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
            # Only the names of its causes: their texts may quote prompts, answers and credentials.
            logger.warning("run %s failed: %s, by %s", self.run.id, error.code, _causes(error))
            end = self._failed(error)
        except (SystemExit, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException:
            # Also what is no Exception, such as a panic in an extension: a reader waits for the end.
            logger.exception("run %s failed", self.run.id)
            end = self._failed(errors.ChainHubError())
        self.state = "closing"
        # Record first, emit then: who has seen the end finds it in the record.
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
        """What had been streamed when the run stopped short: text is kept, other kinds are not."""
        return encode("".join(self.text)) if self.text else None

    def _figures(self) -> Figures:
        usages = [call.usage for call in self.context.calls if call.usage]
        costs = [call.cost_usd for call in self.context.calls if call.cost_usd is not None]
        return Figures(
            input_tokens=sum(usage.input_tokens for usage in usages) if usages else None,
            output_tokens=sum(usage.output_tokens for usage in usages) if usages else None,
            # A sum that misses a part would be a wrong bill.
            cost_usd=sum(costs, Decimal()) if costs and len(costs) == len(self.context.calls) else None,
            first_token_ms=self.first_token_ms,
            latency_ms=self.context.elapsed_ms,
        )


async def _give_connections_back() -> None:
    """Code may have used the database, in a thread that no request of Django's ends for."""
    # The thread of a request is gone once that has been answered, along with its connections.
    with suppress(RuntimeError):
        await sync_to_async(close_old_connections)()


def _causes(error: BaseException) -> str:
    """The exceptions that led to this one, nearest first."""
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
