"""Plans made by hand, and what a run of one gave: the runtime needs no database."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from chains.runtime.events import Chunk, Event, Step
from chains.runtime.plans.base import Plan, PlanStep, PlanTarget, ProviderConfig
from chains.runtime.plans.code import CodePlan, checked_configurable
from chains.runtime.plans.configured import SpecPlan
from chains.runtime.pricing import Price
from chains.runtime.providers.calls import ModelCall, Trace
from chains.runtime.registry import all_registered, register, registered
from chains.runtime.running.execution import Execution, Mode
from chains.runtime.steps.llm import Params, Parser
from chains.runtime.steps.prompts import PromptSpec
from tests.upstream import Upstream

KEY = "sk-test-CANARY-0123456789"


# Whether calls go around the provider's SDK, as they do unless a test says otherwise.
DIRECT: ContextVar[bool] = ContextVar("direct", default=True)


def provider(upstream: Upstream | None = None, **data: Any) -> ProviderConfig:
    """The demo, or whatever listens at ``upstream``."""
    reach: dict[str, Any] = {"kind": "demo"}
    if upstream:
        reach = {"kind": "openai", "base_url": upstream.base_url, "direct": DIRECT.get()}
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


def plan(*steps: PlanStep, run_timeout_s: float = 10) -> SpecPlan:
    return SpecPlan(
        chain_slug="chain",
        chain_name="Chain",
        version=1,
        steps=steps or (step(),),
        run_timeout_s=run_timeout_s,
    )


def code(
    runnable: Any, *, chosen: Any = None, system_messages: bool = False, timeout_s: float = 10, **options: Any
) -> CodePlan:
    """A chain in code, under a name of its own; the fixture ``registry`` forgets it."""
    slug = f"code-{len(all_registered())}"
    register(slug, runnable, timeout_s=timeout_s, **options)
    entry = registered(slug)
    assert entry is not None
    return CodePlan(
        chain_slug=slug,
        chain_name="Code",
        package=entry.package,
        run_timeout_s=entry.timeout_s,
        system_messages=system_messages,
        configurable=checked_configurable(entry, chosen),
        entry=entry,
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


async def run(
    plan: Plan,
    value: Any = None,
    *,
    streaming: bool = True,
    mode: Mode | None = None,
    into: Ran | None = None,
    **how: Any,
) -> Ran:
    """Run to the end; what was heard before a failure is found in ``into``."""
    ran = into or Ran()

    async def emit(event: Event) -> None:
        ran.events.append(event)

    trace = Trace(emit=emit, deadline=time.monotonic() + plan.run_timeout_s, calls=ran.calls)
    checked = plan.check_input({"topic": "cats"} if value is None else value)
    mode = mode or ("stream" if streaming else "whole")
    result = await Execution(plan=plan, value=checked.value, mode=mode, trace=trace, **how).result()
    ran.output, ran.finish_reason = result.output, result.finish_reason
    return ran
