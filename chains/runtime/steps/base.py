"""What a step is: data that an admin stores, and the planned form of it that runs.

A step kind is one file beside this one: a ``Step`` and a ``PlannedStep``. ``chains.runtime.steps`` names it.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import Field, StringConstraints

from chains.runtime import events
from chains.runtime.context import RunContext
from chains.runtime.data import Frozen
from chains.runtime.names import PRODUCTION, Name, Ref, Slug
from chains.runtime.providers.reach import PlanTarget
from chains.runtime.steps.prompts import PromptSpec

Model = Annotated[str, StringConstraints(min_length=1, max_length=200)]

DEFAULT = "default"
"""What a caller sends to choose what the step itself says."""

# --- What steps refer to -----------------------------------------------------------------------


class PromptRef(Frozen):
    slug: Slug
    ref: Ref = PRODUCTION


class Target(Frozen):
    """A model at a provider."""

    provider: Slug
    model: Model


Reference = PromptRef | Target


@dataclass(frozen=True, kw_only=True)
class FoundPrompt:
    """A version of a prompt that a reference leads to."""

    slug: str
    number: int
    spec: PromptSpec


class Library(Protocol):
    """Looks up what steps refer to; raises InvalidSpec naming what lacks."""

    def prompt(self, ref: PromptRef) -> FoundPrompt: ...

    def target(self, target: Target) -> PlanTarget: ...


# --- Steps as data -----------------------------------------------------------------------------


class Option(Frozen):
    """What callers may choose of a step; a subclass for each ``field`` that can be chosen.

    ``name`` is what a caller sends under ``configurable``; it changes the step named ``step``.
    """

    name: Name
    step: Name
    description: str = Field(default="", max_length=500)
    field: str

    # Whether it replaces the whole step: what else is chosen then applies to the replacement.
    replaces: ClassVar[bool] = False

    @property
    def leads_to(self) -> Sequence[Any]:
        """The values that lead to other records, which a check has to try."""
        return ()

    def json_schema(self, step: Any) -> dict[str, Any]:
        """Of the value that a caller sends; ``step`` is of a kind that lists this option."""
        raise NotImplementedError

    def applied(self, step: Any, value: Any) -> Any:
        """The step as the caller wants it; ``value`` satisfies ``json_schema``."""
        raise NotImplementedError


class Step(Frozen):
    """A step as data; ``options`` are the kinds of choice that callers may be given of it."""

    kind: str
    name: Name

    options: ClassVar[tuple[type[Option], ...]] = ()

    def offers(self, option: Option) -> bool:
        """Whether callers may be given this kind of choice of it."""
        return type(option) in self.options

    def references(self) -> Iterator[Reference]:
        """What it names, as it stands."""
        yield from ()

    def resolved(self, library: Library, *, fallbacks: Sequence[PlanTarget]) -> "PlannedStep":
        """With every reference looked up; raises InvalidSpec naming what lacks.

        ``fallbacks`` are the chain's, for steps that call models.
        """
        raise NotImplementedError

    def readable(self) -> Iterator[str]:
        """Its lines of text, for people and for comparing versions."""
        raise NotImplementedError


# --- Steps that run ----------------------------------------------------------------------------

Asked = Mapping[str, tuple[dict[str, Any], bool]]
"""By name: the JSON Schema of an input, and whether it is required."""


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """A step with everything looked up; shared by runs, so it holds nothing of a caller."""

    kind: ClassVar[str]
    name: str

    def inputs(self, *, system_messages: bool) -> Asked:
        """What it asks for, in order of first use; a chain may allow its callers system messages."""
        raise NotImplementedError

    @property
    def output_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def behaviour(self) -> list[Any]:
        """JSON data over everything that shapes its output; credentials and limits do not."""
        raise NotImplementedError

    @property
    def children(self) -> tuple["PlannedStep", ...]:
        """The steps inside it."""
        return ()

    @property
    def uses(self) -> Mapping[str, int]:
        """Slugs of the prompts that it uses, and the numbers of their versions."""
        return {}

    @property
    def run_timeout_s(self) -> float | None:
        """How long a run with this step may take, where what it uses says so."""
        return None

    def load(self) -> None:
        """Import what the step needs, here and now rather than in the event loop."""

    def build(self) -> None:
        """Make what it needs in this event loop; raises InvalidSpec where it could not run."""

    def run(
        self, values: Mapping[str, Any], context: RunContext, *, path: str, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        """The output in pieces as they come; a step that cannot stream gives it in one.

        ``values`` are the run's input and the outputs of the steps before. ``path`` names this step in
        events and records. Raises ProviderError, OutputInvalid.
        """
        raise NotImplementedError

    def whole(self, pieces: Sequence[Any]) -> Any:
        """The output that the pieces add up to."""
        return pieces[-1] if pieces else None

    async def pieces(
        self, values: Mapping[str, Any], context: RunContext, *, path: str, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        """``run``, with the events that say so."""
        await context.emit(
            events.Step(
                path=path,
                kind=self.kind,
                name=self.name,
                status="started",
                at_ms=context.elapsed_ms,
                input=values,
            )
        )
        told = []
        async with aclosing(self.run(values, context, path=path, streaming=streaming)) as pieces:
            async for piece in pieces:
                told.append(piece)
                yield piece
        await context.emit(
            events.Step(
                path=path,
                kind=self.kind,
                name=self.name,
                status="finished",
                at_ms=context.elapsed_ms,
                output=self.whole(told),
            )
        )
