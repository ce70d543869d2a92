"""The step kinds: each is one file of this package, and one line of this table."""

from chains.runtime.steps.base import Step
from chains.runtime.steps.llm import LLMStep

STEP_KINDS: dict[str, type[Step]] = {"llm": LLMStep}

AnyStep = LLMStep
