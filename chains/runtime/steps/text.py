"""The step kind ``text``: fills values into a template, without a model."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal

from pydantic import field_validator

from chains.runtime.context import RunContext
from chains.runtime.errors import InvalidTemplate, OutputInvalid
from chains.runtime.providers.attempts import MAX_ANSWER_CHARS
from chains.runtime.providers.reach import PlanTarget
from chains.runtime.steps.base import ANY, Asked, Library, PlannedStep, Step
from chains.runtime.steps.prompts import MAX_VARIABLES, Texts, template_variables


class TextStep(Step):
    """A text with ``{name}`` variables. It sees the input and the outputs of the steps before it."""

    kind: Literal["text"] = "text"
    template: str

    @field_validator("template")
    @classmethod
    def _is_plain(cls, template: str) -> str:
        try:
            names = template_variables(template)
        except InvalidTemplate as error:
            raise ValueError(str(error)) from error
        if len(names) > MAX_VARIABLES:
            raise ValueError(f"At most {MAX_VARIABLES} variables.")
        return template

    def resolved(self, library: Library, *, fallbacks: Sequence[PlanTarget]) -> "PlannedText":
        return PlannedText(name=self.name, template=self.template)

    def templates(self) -> Iterator[str]:
        yield self.template

    def readable(self) -> Iterator[str]:
        yield self.template


@dataclass(frozen=True, kw_only=True)
class PlannedText(PlannedStep):
    kind = "text"
    template: str

    def inputs(self, *, system_messages: bool) -> Asked:
        return dict.fromkeys(template_variables(self.template), (ANY, True))

    @property
    def output_schema(self) -> dict[str, Any]:
        return {"title": "Answer", "type": "string"}

    @property
    def behaviour(self) -> list[Any]:
        return [self.kind, self.name, self.template]

    def whole(self, pieces: Sequence[Any]) -> str:
        return "".join(pieces)

    async def run(
        self, values: Mapping[str, Any], context: RunContext, *, path: str, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        """Yield the text in one piece, or no piece if it is empty.

        Raises OutputInvalid for a text that is longer than a model's answer may be: a few steps that each
        repeat the one before could use up the memory.
        """
        if text := "".join(self._parts(Texts(values))):
            yield text

    def _parts(self, texts: Texts) -> Iterator[str]:
        size = 0
        for literal, name, _, _ in Formatter().parse(self.template):
            for part in (literal, "" if name is None else texts[name]):
                size += len(part)
                if size > MAX_ANSWER_CHARS:
                    raise OutputInvalid(
                        f"The text {self.name!r} is longer than {MAX_ANSWER_CHARS} characters."
                    )
                yield part
