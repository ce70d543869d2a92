"""The steps of a configured chain one after another, without LangChain's runnables around them.

Each runnable of ``prompt | model | parser`` costs about as much as the call of the model itself, for
callbacks that nobody listens to. This is the same prompt, model and parser called in turn; whoever wants
to see inner steps, or the answer as a message, gets the runnables.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import BaseOutputParser

from chains.runtime.plans.base import PlanStep
from chains.runtime.providers.calls import GuardedModel
from chains.runtime.steps.parsers import build_parser
from chains.runtime.steps.prompts import Placeholder, PromptSpec, as_text
from chains.runtime.wire.values import encode

ROLES: Mapping[str, type[BaseMessage]] = {"system": SystemMessage, "human": HumanMessage, "ai": AIMessage}


@dataclass(frozen=True, kw_only=True)
class DirectStep:
    """``parser`` is ``None`` where the answer is its text."""

    step: PlanStep
    model: GuardedModel
    parser: BaseOutputParser[Any] | None
    follows: bool

    @classmethod
    def of(cls, step: PlanStep, *, follows: bool) -> "DirectStep":
        parser = None if step.parser.kind == "text" else build_parser(step.parser)
        assert parser is None or isinstance(parser, BaseOutputParser)
        return cls(step=step, model=GuardedModel.for_step(step), parser=parser, follows=follows)

    async def whole(self, values: Mapping[str, Any], *, streaming: bool = False) -> Any:
        pieces = [piece async for piece in self.texts(values, streaming=streaming)]
        text = "".join(pieces)
        return text if self.parser is None else self.parser.parse(text)

    async def texts(self, values: Mapping[str, Any], *, streaming: bool) -> AsyncIterator[str]:
        """The answer's text, in pieces as they come."""
        prompt = self.step.prompt
        if self.follows:
            values = step_values(values, keep=prompt.placeholders)
        async with aclosing(self.model.answers(rendered(prompt, values), streaming=streaming)) as answers:
            async for answer in answers:
                yield answer.text


@dataclass(frozen=True, kw_only=True)
class DirectChain:
    """A chain of which no step gives the message itself."""

    steps: tuple[DirectStep, ...]

    @classmethod
    def of(cls, steps: Sequence[PlanStep]) -> "DirectChain | None":
        if any(step.parser.kind == "message" for step in steps):
            return None
        return cls(steps=tuple(DirectStep.of(step, follows=index > 0) for index, step in enumerate(steps)))

    async def whole(self, values: Mapping[str, Any]) -> Any:
        return await self.steps[-1].whole(await self._before_last(values))

    async def pieces(self, values: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Only the last step's answer comes in pieces, and only where it is text."""
        last, values = self.steps[-1], await self._before_last(values)
        if last.parser is not None:
            yield await last.whole(values, streaming=True)
            return
        async with aclosing(last.texts(values, streaming=True)) as texts:  # type: ignore[type-var]
            async for text in texts:
                yield text

    async def _before_last(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        for step in self.steps[:-1]:
            values = {**values, step.step.name: await step.whole(values)}
        return values


def rendered(prompt: PromptSpec, values: Mapping[str, Any]) -> list[BaseMessage]:
    """The prompt's messages; its templates were checked to be plain, and values are text by now."""
    messages: list[BaseMessage] = []
    for part in prompt.messages:
        if isinstance(part, Placeholder):
            messages += values.get(part.placeholder, [])
        else:
            messages.append(ROLES[part.role](content=part.content.format_map(values)))
    return messages


def step_values(values: Mapping[str, Any], *, keep: Collection[str]) -> dict[str, Any]:
    """What earlier steps gave as text; where a placeholder takes it, as a message of the model's."""
    return {n: _messages(value) if n in keep else _text(value) for n, value in values.items()}


def _messages(value: Any) -> list[BaseMessage]:
    """Never what an answer says of itself: JSON that looks like messages would choose its own role."""
    if isinstance(value, list) and all(isinstance(item, BaseMessage) for item in value):
        return value
    return [AIMessage(_text(value))]


def _text(value: Any) -> str:
    return value.text if isinstance(value, BaseMessage) else as_text(encode(value))
