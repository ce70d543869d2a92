"""The step kind ``llm``: renders a prompt, calls a model, and parses the model's answer."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import uuid4

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import Field, JsonValue, model_validator

from chains.runtime.context import RunContext
from chains.runtime.data import Frozen
from chains.runtime.errors import AnswerEmpty, OutputInvalid
from chains.runtime.events import Part
from chains.runtime.names import Name, Slug
from chains.runtime.providers.calls import GuardedModel
from chains.runtime.providers.pieces import Piece
from chains.runtime.providers.reach import ModelParams, PlanTarget
from chains.runtime.steps.base import (
    DEFAULT,
    Asked,
    Library,
    Model,
    Option,
    PlannedStep,
    PromptRef,
    Reference,
    Step,
    Target,
)
from chains.runtime.steps.parsers import Parser, combine, joined, output_schema, parse
from chains.runtime.steps.prompts import PromptSpec, rendered
from chains.runtime.wire.lines import params_text


class Params(Frozen):
    """Sampling parameters; ``extra`` holds parameters that only some provider kinds know."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    extra: dict[str, JsonValue] = {}


# --- Options for callers -----------------------------------------------------------------------


class NumberOption(Option):
    """A number within limits, for the parameter that has the name of the option's field."""

    number: ClassVar[type[int] | type[float]]
    minimum: float
    maximum: float

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("The minimum is above the maximum.")
        return self

    def json_schema(self, step: "LLMStep") -> dict[str, Any]:
        kind = "integer" if self.number is int else "number"
        limits = {"type": kind, "minimum": self.minimum, "maximum": self.maximum}
        return limits | _default(getattr(step.params, self.field))

    def applied(self, step: "LLMStep", value: Any) -> "LLMStep":
        params = step.params.model_copy(update={self.field: self.number(value)})
        return step.model_copy(update={"params": params})


class TemperatureOption(NumberOption):
    number = float
    field: Literal["temperature"] = "temperature"
    minimum: Annotated[float, Field(ge=0, le=2)] = 0
    maximum: Annotated[float, Field(ge=0, le=2)] = 2


class MaxTokensOption(NumberOption):
    number = int
    field: Literal["max_tokens"] = "max_tokens"
    minimum: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    maximum: Annotated[int, Field(ge=1, le=1_000_000)]


class ModelOption(Option):
    field: Literal["model"] = "model"
    choices: tuple[Model, ...] = Field(min_length=1, max_length=50)

    @property
    def leads_to(self) -> Sequence[str]:
        return self.choices

    def json_schema(self, step: "LLMStep") -> dict[str, Any]:
        return {"type": "string", "enum": list(dict.fromkeys((step.model, *self.choices)))} | _default(
            step.model
        )

    def applied(self, step: "LLMStep", value: Any) -> "LLMStep":
        return step.model_copy(update={"model": value})


class NamedOption(Option):
    """Choices that callers select by name; the name ``default`` selects the step's own setting."""

    choices: Mapping[Name, Any]

    @property
    def leads_to(self) -> Sequence[str]:
        return tuple(self.choices)

    def json_schema(self, step: "LLMStep") -> dict[str, Any]:
        names = [DEFAULT, *(name for name in self.choices if name != DEFAULT)]
        return {"type": "string", "enum": names, **_default(DEFAULT)}

    def applied(self, step: "LLMStep", value: Any) -> "LLMStep":
        return step if value == DEFAULT else step.model_copy(update=self.changes(self.choices[value]))

    def changes(self, choice: Any) -> dict[str, Any]:
        """The fields of the step that the choice replaces."""
        raise NotImplementedError


class PromptOption(NamedOption):
    field: Literal["prompt"] = "prompt"
    choices: dict[Name, PromptRef] = Field(min_length=1, max_length=50)

    def changes(self, choice: PromptRef) -> dict[str, Any]:
        return {"prompt": choice}


class StepChange(Frozen):
    """An alternative to a step: the settings that differ; ``None`` keeps the step's own."""

    prompt: PromptRef | None = None
    provider: Slug | None = None
    model: Model | None = None
    params: Params | None = None
    parser: Parser | None = None


class StepOption(NamedOption):
    replaces = True
    field: Literal["step"] = "step"
    choices: dict[Name, StepChange] = Field(min_length=1, max_length=50)

    def changes(self, choice: StepChange) -> dict[str, Any]:
        return {name: part for name, part in vars(choice).items() if part is not None}


def _default(value: Any) -> dict[str, Any]:
    return {} if value is None else {"default": value}


# --- As data -----------------------------------------------------------------------------------


class LLMStep(Step):
    """One call of a model. It sees the input and the outputs of the steps before it."""

    kind: Literal["llm"] = "llm"
    prompt: PromptRef
    provider: Slug
    model: Model
    params: Params = Params()
    parser: Parser = Parser()

    options = (ModelOption, TemperatureOption, MaxTokensOption, PromptOption, StepOption)

    @property
    def target(self) -> Target:
        return Target(provider=self.provider, model=self.model)

    def references(self) -> Iterator[Reference]:
        yield self.prompt
        yield self.target

    def resolved(self, library: Library, *, fallbacks: Sequence[PlanTarget]) -> "PlannedLLM":
        prompt = library.prompt(self.prompt)
        return PlannedLLM(
            name=self.name,
            prompt_slug=prompt.slug,
            prompt_version=prompt.number,
            prompt=prompt.spec,
            targets=(library.target(self.target), *fallbacks),
            params=self.params,
            parser=self.parser,
        )

    def readable(self) -> Iterator[str]:
        yield f"prompt: {self.prompt.slug}@{self.prompt.ref}"
        yield f"model: {self.model} at {self.provider}"
        if self.params.temperature is not None:
            yield f"temperature: {self.params.temperature:g}"
        if self.params.max_tokens is not None:
            yield f"max tokens: {self.params.max_tokens}"
        yield from params_text(self.params.extra).splitlines()
        yield f"answer: {self.parser.kind}"
        if self.parser.json_schema is not None:
            yield json.dumps(self.parser.json_schema, ensure_ascii=False, indent=2)


# --- As it runs --------------------------------------------------------------------------------

Answer = AsyncGenerator[Sequence[Piece], None]

# LangChain's names for these parts of a chain. The kind ``message`` needs no parser.
PART_NAMES = {"prompt": "ChatPromptTemplate", "model": "ChatModel"}
PARSER_NAMES = {
    "text": "StrOutputParser",
    "json": "JSONParser",
    "list": "ListParser",
    "schema": "SchemaParser",
}


@dataclass(frozen=True, kw_only=True)
class PlannedLLM(PlannedStep):
    """``targets``: the step's own target, then the fallbacks."""

    kind = "llm"
    is_one_call = True
    prompt_slug: str
    prompt_version: int
    prompt: PromptSpec
    targets: tuple[PlanTarget, ...]
    params: Params
    parser: Parser

    def inputs(self, *, system_messages: bool) -> Asked:
        return self.prompt.properties(system_messages=system_messages)

    @property
    def output_schema(self) -> dict[str, Any]:
        return output_schema(self.parser)

    @property
    def behaviour(self) -> list[Any]:
        return [
            self.name,
            self.prompt.model_dump(mode="json"),
            [[t.provider.slug, t.provider.kind, t.provider.base_url, t.model] for t in self.targets],
            self.params.model_dump(mode="json"),
            self.parser.model_dump(mode="json"),
        ]

    @property
    def uses(self) -> Mapping[str, int]:
        return {self.prompt_slug: self.prompt_version}

    @property
    def run_timeout_s(self) -> float:
        return max(target.provider.run_s for target in self.targets)

    @cached_property
    def model(self) -> GuardedModel:
        params = ModelParams(
            name=self.name,
            temperature=self.params.temperature,
            max_tokens=self.params.max_tokens,
            json_schema=self.parser.json_schema,
            extra=self.params.extra,
        )
        return GuardedModel(targets=self.targets, params=params)

    def load(self) -> None:
        self.model.load()

    def build(self) -> None:
        self.model.build()

    def whole(self, pieces: Sequence[Any]) -> Any:
        return combine(self.parser, pieces)

    def run(
        self, values: Mapping[str, Any], context: RunContext, *, path: str, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        messages = rendered(self.prompt, values)
        answer = self.model.answers(path, messages, context, streaming=streaming)
        if context.shows_parts:
            return _Parts(step=self, path=path, context=context).pieces(values, messages, answer)
        return self.pieces_of(answer)

    async def pieces_of(self, answer: Answer, *, call_id: str = "") -> AsyncGenerator[Any, None]:
        """Yield pieces of the output: the model's answer after the parser.

        Raises AnswerEmpty where the model gave no text, OutputInvalid where it does not fit the parser.
        """
        gives_messages = self.parser.kind == "message"
        call_id = call_id or (str(uuid4()) if gives_messages else "")
        said = _Said(may_call_tools=gives_messages)
        async with aclosing(answer):
            async for pieces in answer:
                for piece in pieces:
                    said.note(piece)
                    if self.parser.kind == "text":
                        if piece.text:
                            yield piece.text
                    elif gives_messages:
                        yield _with_id(piece.message(), call_id)
        if self.parser.kind not in ("text", "message"):
            yield await self._parsed(said)

    async def _parsed(self, said: "_Said") -> Any:
        try:
            return await parse(self.parser, "".join(said.texts))
        except OutputParserException as error:
            if said.finish_reason == "length":
                raise OutputInvalid(
                    "The model's answer was cut off at the limit of its tokens, so it is not complete. "
                    "Raise the step's max tokens, or ask for less."
                ) from error
            # Our parsers quote nothing of the answer. LangChain adds lines of its own.
            reason = str(error).partition("\n")[0]
            raise OutputInvalid(f"{OutputInvalid.message} {reason}") from error


@dataclass(kw_only=True)
class _Said:
    """What the model has said so far. ``may_call_tools``: a tool call without a text is an answer too."""

    may_call_tools: bool
    texts: list[str] = field(default_factory=list)
    thought: bool = False
    called: bool = False
    finish_reason: str = ""

    def note(self, piece: Piece) -> None:
        if piece.end is not None:
            self.finish_reason = piece.end.finish_reason
            self._require_text()
        if piece.text:
            self.texts.append(piece.text)
        self.thought = self.thought or bool(piece.reasoning)
        self.called = self.called or bool(piece.tool_calls)

    def _require_text(self) -> None:
        if self.texts or (self.called and self.may_call_tools):
            return
        raise AnswerEmpty(f"{AnswerEmpty.message} {self._why_empty()}".strip())

    def _why_empty(self) -> str:
        if self.finish_reason == "content_filter":
            return "The provider's content filter withheld it."
        if self.finish_reason == "length":
            thinking = " while it was still thinking" if self.thought else ""
            return f"The model reached the limit of its tokens{thinking}."
        if self.called:
            return "The model asked for a tool, and this chain has none."
        return "The model only thought." if self.thought else ""


def _with_id(message: AIMessageChunk, call_id: str) -> AIMessageChunk:
    """Add the id that LangChain's models give to the messages of one call."""
    if message.id is None:
        message.id = f"{LC_ID_PREFIX}-{call_id}"
    return message


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Runs a step and emits its parts (prompt, model, parser) with the data that LangChain's events have."""

    step: PlannedLLM
    path: str
    context: RunContext
    call_id: str = field(default_factory=lambda: str(uuid4()))

    async def pieces(
        self, values: Mapping[str, Any], messages: list[BaseMessage], answer: Answer
    ) -> AsyncGenerator[Any, None]:
        await self._emit("prompt", "started", values)
        await self._emit("prompt", "finished", ChatPromptValue(messages=messages))
        is_text = self.step.parser.kind == "text"
        emitted: list[Any] = []
        answer = self._model(messages, answer)
        async with aclosing(self.step.pieces_of(answer, call_id=self.call_id)) as pieces:
            async for piece in pieces:
                if not emitted:
                    await self._emit("parser", "started")
                emitted.append(piece)
                # Other parsers read the complete answer, so they give what they read at their end.
                await self._emit("parser", "streamed" if is_text else "finished", piece)
                yield piece
        if emitted and is_text:
            await self._emit("parser", "finished", self.step.whole(emitted))

    async def _model(self, messages: list[BaseMessage], answer: Answer) -> Answer:
        await self._emit("model", "started", {"messages": [messages]})
        emitted: list[BaseMessage] = []
        async with aclosing(answer):
            async for pieces in answer:
                for piece in pieces:
                    emitted.append(_with_id(piece.message(), self.call_id))
                    await self._emit("model", "streamed", emitted[-1])
                yield pieces
        await self._emit("model", "finished", joined(emitted))

    async def _emit(
        self,
        kind: Literal["prompt", "model", "parser"],
        status: Literal["started", "streamed", "finished"],
        value: Any = None,
    ) -> None:
        name = PARSER_NAMES.get(self.step.parser.kind) if kind == "parser" else PART_NAMES[kind]
        if name is None:
            return
        part = Part(path=self.path, kind=kind, name=name, status=status, value=value)
        if kind == "model":
            part = replace(part, id=self.call_id, about=self._about_model())
        await self.context.emit(part)

    def _about_model(self) -> Mapping[str, str]:
        first = self.step.targets[0]
        return {
            "ls_provider": first.provider.slug,
            "ls_model_name": first.model,
            "ls_model_type": "chat",
        }
