"""Plans made by hand, and what a run of one gave: the runtime needs no database."""

import time
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from chains.runtime.calls import ModelCall, Trace
from chains.runtime.engine import check_input, execute
from chains.runtime.events import Chunk, Event, Step
from chains.runtime.plan import Plan, PlanStep, PlanTarget, ProviderConfig
from chains.runtime.pricing import Price
from chains.runtime.prompts import PromptSpec
from chains.runtime.spec import Params, Parser
from tests.upstream import Upstream

KEY = "sk-test-CANARY-0123456789"


def provider(upstream: Upstream | None = None, **data: Any) -> ProviderConfig:
    """The demo, or whatever listens at ``upstream``."""
    reach = {"kind": "openai", "base_url": upstream.base_url} if upstream else {"kind": "demo"}
    return ProviderConfig(**{"slug": "main", "api_key": SecretStr(KEY), **reach, **data})


def target(upstream: Upstream | None = None, *, model: str = "", price: Price | None = None, **data: Any):
    model = model or ("test-model" if upstream else "demo-echo")
    return PlanTarget(provider=provider(upstream, **data), model=model, price=price)


def prompt(*messages: dict | str, variables: tuple = ()) -> PromptSpec:
    """Texts are human messages."""
    rows = [{"role": "human", "content": m} if isinstance(m, str) else m for m in messages or ["{topic}"]]
    return PromptSpec.model_validate({"messages": rows, "variables": variables})


def step(
    *targets: PlanTarget,
    name: str = "answer",
    asks: PromptSpec | str = "{topic}",
    parser: str | dict = "text",
    **params: Any,
) -> PlanStep:
    return PlanStep(
        name=name,
        prompt_slug=name,
        prompt_version=1,
        prompt=prompt(asks) if isinstance(asks, str) else asks,
        targets=targets or (target(),),
        params=Params.model_validate({"extra": {} if targets else {"delay_ms": 0}} | params),
        parser=Parser.model_validate({"kind": parser} if isinstance(parser, str) else parser),
    )


def plan(*steps: PlanStep, run_timeout_s: float = 10) -> Plan:
    return Plan(
        chain_slug="chain",
        chain_name="Chain",
        version=1,
        steps=steps or (step(),),
        run_timeout_s=run_timeout_s,
    )


@dataclass(kw_only=True)
class Ran:
    """What was heard of a run until it ended."""

    events: list[Event] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    output: Any = None
    finish_reason: str = ""

    @property
    def chunks(self) -> list[Any]:
        return [event.value for event in self.events if isinstance(event, Chunk)]

    @property
    def steps(self) -> list[tuple[str, str, str]]:
        return [(e.name, e.status, e.provider) for e in self.events if isinstance(e, Step)]


async def run(plan: Plan, value: Any = None, *, streaming: bool = True, into: Ran | None = None) -> Ran:
    """Run to the end; what was heard before a failure is found in ``into``."""
    ran = into or Ran()

    async def emit(event: Event) -> None:
        ran.events.append(event)

    trace = Trace(emit=emit, deadline=time.monotonic() + plan.run_timeout_s, calls=ran.calls)
    checked = check_input(plan, {"topic": "cats"} if value is None else value)
    result = await execute(plan, checked, streaming=streaming, trace=trace)
    ran.output, ran.finish_reason = result.output, result.finish_reason
    return ran
