"""The steps of a chain as data: prompt, model, parameters and parser, checked when they are written."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from chains.runtime.names import PRODUCTION, Name, Ref, Slug
from chains.runtime.steps.answerschema import check_schema
from chains.runtime.steps.base import Frozen

Model = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class PromptRef(Frozen):
    slug: Slug
    ref: Ref = PRODUCTION


class Target(Frozen):
    """A model at a provider."""

    provider: Slug
    model: Model


class Params(Frozen):
    """How the model samples; ``extra`` holds what only some kinds of provider know."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    extra: dict[str, JsonValue] = {}


class Parser(Frozen):
    """What becomes of the model's answer; ``json_schema`` belongs to the kind ``schema``."""

    kind: Literal["text", "message", "json", "list", "schema"] = "text"
    json_schema: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> "Parser":
        if (self.kind == "schema") != (self.json_schema is not None):
            raise ValueError("A JSON Schema belongs to the parser 'schema', and only to it.")
        if self.json_schema is not None:
            check_schema(self.json_schema)
        return self


class LLMStep(Frozen):
    """One call of a model. It sees the input and the outputs of the steps before it."""

    kind: Literal["llm"] = "llm"
    name: Name
    prompt: PromptRef
    provider: Slug
    model: Model
    params: Params = Params()
    parser: Parser = Parser()

    @property
    def target(self) -> Target:
        return Target(provider=self.provider, model=self.model)
