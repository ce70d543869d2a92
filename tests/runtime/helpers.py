"""Plans made by hand, and what a run of one gave: the runtime needs no database."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from chains.runtime.context import Backoff, ModelCall, RunContext, Taught
from chains.runtime.events import Call, Chunk, Event
from chains.runtime.plans.base import Plan
from chains.runtime.plans.code import CodePlan, checked_configurable
from chains.runtime.plans.configured import ConfiguredPlan
from chains.runtime.pricing import Price
from chains.runtime.providers.reach import PlanTarget, ProviderConfig
from chains.runtime.registry import all_registered, register, registered
from chains.runtime.running.execution import Execution, Mode
from chains.runtime.steps.llm import Params, PlannedLLM
from chains.runtime.steps.parsers import Parser
from chains.runtime.steps.prompts import PromptSpec
from tests.upstream import Upstream

KEY = "sk-test-CANARY-0123456789"

BOTH = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
"""Whether the run is asked for pieces."""

SEEN_BY_LATER_STEPS = pytest.mark.parametrize(
    ("parser", "answer", "seen"),
    [
        ("text", "a {topic} b", "a {topic} b"),
        ("message", "hi", "hi"),
        ("list", 'red, "a, b"', '["red", "a, b"]'),
        ("json", '{"ä": [1, null]}', '{"ä": [1, null]}'),
        ("json", "null", "null"),
        ("json", "3", "3"),
    ],
)
"""A step's parser, the model's answer, and the text that it is in a later step."""

AT_ONCE = Backoff(jitter=lambda least, most: least)
"""Tries again without a pause; a provider's own Retry-After is waited for."""


def provider(upstream: Upstream | None = None, **data: Any) -> ProviderConfig:
    """The demo, or whatever listens at ``upstream``."""
    reach: dict[str, Any] = {"kind": "demo"}
    if upstream:
        reach = {"kind": "openai", "base_url": upstream.base_url}
    return ProviderConfig(**{"slug": "main", "api_key": SecretStr(KEY), **reach, **data})


def target(
    upstream: Upstream | None = None,
    *,
    model: str = "",
    price: Price | None = None,
    learned: Mapping[str, str] | None = None,
    **data: Any,
) -> PlanTarget:
    model = model or ("test-model" if upstream else "demo-echo")
    return PlanTarget(provider=provider(upstream, **data), model=model, price=price, learned=learned or {})


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
) -> PlannedLLM:
    return PlannedLLM(
        name=name,
        prompt_slug=name,
        prompt_version=1,
        prompt=prompt(asks) if isinstance(asks, str) else asks,
        targets=targets or (target(),),
        params=Params.model_validate({"extra": {} if targets else {"delay_ms": 0}} | params),
        parser=Parser.model_validate({"kind": parser} if isinstance(parser, str) else parser),
    )


def plan(*steps: PlannedLLM, run_timeout_s: float = 10) -> ConfiguredPlan:
    return ConfiguredPlan(
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
    lessons: list[Taught] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    output: Any = None
    finish_reason: str = ""

    @property
    def chunks(self) -> list[Any]:
        return [event.value for event in self.events if isinstance(event, Chunk)]

    @property
    def steps(self) -> list[tuple[str, str, str]]:
        return [(e.path, e.status, e.provider) for e in self.events if isinstance(e, Call)]


async def run(
    plan: Plan,
    value: Any = None,
    *,
    streaming: bool = True,
    mode: Mode | None = None,
    into: Ran | None = None,
    backoff: Backoff = AT_ONCE,
    **how: Any,
) -> Ran:
    """Run to the end; what was heard before a failure is found in ``into``."""
    ran = into or Ran()

    async def emit(event: Event) -> None:
        ran.events.append(event)

    context = RunContext(
        emit=emit,
        deadline=time.monotonic() + plan.run_timeout_s,
        calls=ran.calls,
        lessons=ran.lessons,
        said=ran.said,
        backoff=backoff,
    )
    checked = plan.check_input({"topic": "cats"} if value is None else value)
    mode = mode or ("stream" if streaming else "whole")
    result = await Execution(plan=plan, value=checked.value, mode=mode, context=context, **how).result()
    ran.output, ran.finish_reason = result.output, result.finish_reason
    return ran
