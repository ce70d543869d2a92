"""The task that owns a run: executes the run and records its end, even where the reader has left."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from chains.actions.habits import note_later
from chains.actions.metrics import count_end
from chains.actions.runs.admit import Admitted
from chains.actions.runs.buffer import Events
from chains.actions.runs.recorder import recorder
from chains.actions.wording import told_text
from chains.models import Run
from chains.runtime import errors
from chains.runtime.context import MAX_TEXT_CHARS, Backoff, ModelCall, RunContext, Try
from chains.runtime.errors import Told
from chains.runtime.events import Chunk, Event, Failed, Figures, Finished, Status
from chains.runtime.running.execution import Execution, Result
from chains.runtime.wire.values import encode, shortened

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
            # Whoever asked for a whole answer waits for its end only, and each event would wake it.
            is_watched=admitted.call.door.mode != "whole",
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
            causes = _causes(error) + self._told_text()
            logger.warning("run %s failed: %s, by %s", self.run.id, error.code, causes)
            end = replace(self._failed(error), told=self._told())
            errors.forget_frames(error)
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
        note_later(self.context.lessons)
        self.events.put_last(end)
        # The context refers to this owner, in a circle that only the garbage collector would find.
        self.context.emit = _unheard
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
        if run.calls and not isinstance(end, Finished) and (said := self._inner_text()):
            run.calls[-1]["said"] = encode(said)
        run.input_tokens, run.output_tokens = figures.input_tokens, figures.output_tokens
        run.cost_usd, run.cost_is_minimum = figures.cost_usd, figures.cost_is_minimum
        run.first_token_ms = figures.first_token_ms
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
        """The text that there was before the run failed or was stopped: streamed, or of the last answer.

        That answer may not be streamed at all, for example JSON that cannot be parsed. What an earlier step
        said is not the run's output: its callers may not see it.
        """
        text = "".join(self.text or ([] if self._inner_text() else self.context.said))
        return encode(text) if text else None

    def _inner_text(self) -> str:
        """The beginning of the last answer, where it is not that of the step whose output is the run's."""
        if self.context.said_by == self.execution.plan.answering_step:
            return ""
        return shortened("".join(self.context.said), MAX_TEXT_CHARS)

    def _told(self) -> Told | None:
        """What the provider of the last call said of its failure; no key stands in it."""
        last = self.context.calls[-1] if self.context.calls else None
        return last.tries[-1].told if last and last.tries else None

    def _told_text(self) -> str:
        told = self._told()
        if told is None:
            return ""
        last = self.context.calls[-1]
        return f"; {last.provider}/{last.model} said: {told_text(told)}"

    def _figures(self) -> Figures:
        usages = [call.usage for call in self.context.calls if call.usage]
        cost_usd, cost_is_minimum = _cost(self.context.calls)
        return Figures(
            input_tokens=sum(usage.input_tokens for usage in usages) if usages else None,
            output_tokens=sum(usage.output_tokens for usage in usages) if usages else None,
            cost_usd=cost_usd,
            cost_is_minimum=cost_is_minimum,
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


async def _unheard(event: Event) -> None:
    """What a chain's code emits after the run's end."""


def _causes(error: BaseException) -> str:
    """The class names of the error and of its causes, nearest first."""
    names, cause = [type(error).__name__], error.__cause__
    while cause is not None:
        names.append(type(cause).__name__)
        cause = cause.__cause__
    return " < ".join(names)


def _cost(calls: Sequence[ModelCall]) -> tuple[Decimal | None, bool]:
    """What the calls cost together, and whether that is the least they cost.

    ``None`` where the cost of an answered call is unknown, because a partial sum would be wrong. The provider
    may have counted a call that failed.
    """
    is_minimum = any(call.may_cost_more for call in calls)
    costs = [call.cost_usd for call in calls if call.was_answered or call.cost_usd is not None]
    if not calls or None in costs or (is_minimum and not costs):
        return None, False
    return sum((cost for cost in costs if cost is not None), Decimal()), is_minimum


def _call_row(call: ModelCall) -> dict[str, Any]:
    """The row of a call, without what is empty in most rows."""
    row: dict[str, Any] = {
        "step": call.step,
        "provider": call.provider,
        "model": call.model,
        "attempts": call.attempts,
        "finish_reason": call.finish_reason,
        "input_tokens": call.usage.input_tokens if call.usage else None,
        "output_tokens": call.usage.output_tokens if call.usage else None,
        "cost_usd": str(call.cost_usd) if call.cost_usd is not None else None,
        "tries": [_try_row(each) for each in call.tries],
    }
    if call.raw_finish_reason and call.raw_finish_reason != call.finish_reason:
        row["raw_finish_reason"] = call.raw_finish_reason
    if call.reasoning:
        row["reasoning"] = encode(call.reasoning)
    if call.usage and call.usage.details:
        row["token_details"] = dict(call.usage.details)
    return row


def _try_row(each: Try) -> dict[str, Any]:
    """``detail`` is for staff: it has the provider's own words."""
    row: dict[str, Any] = {
        "started_ms": each.started_ms,
        "ms": each.ms,
        "first_ms": each.first_ms,
        "outcome": each.outcome,
    }
    if each.code:
        row["code"] = each.code
    if each.told:
        row["status"] = each.told.status
        words = {name: text for name, text in asdict(each.told).items() if text and name != "status"}
        row["detail"] = encode(words)
    return row
