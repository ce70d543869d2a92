"""Base classes of steps: a ``Step`` is the data that an admin stores, a ``PlannedStep`` is what runs.

A step kind is one file beside this one, with a subclass of each; ``chains.runtime.steps`` lists the kinds.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field, StringConstraints

from chains.runtime import events
from chains.runtime.context import RunContext
from chains.runtime.data import Frozen
from chains.runtime.names import PRODUCTION, Name, Ref, Slug
from chains.runtime.providers.reach import PlanTarget
from chains.runtime.steps.prompts import PromptSpec

Model = Annotated[str, StringConstraints(min_length=1, max_length=200)]

DEFAULT = "default"
"""The value with which a caller chooses the step's own setting."""

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
    """The version of a prompt that a reference resolves to."""

    slug: str
    number: int
    spec: PromptSpec


class Library(Protocol):
    """Looks up the records that steps refer to; raises InvalidSpec, which names the one that is missing."""

    def prompt(self, ref: PromptRef) -> FoundPrompt: ...

    def target(self, target: Target) -> PlanTarget: ...


# --- Steps as data -----------------------------------------------------------------------------


class Option(Frozen):
    """A choice that callers may make for a step; each ``field`` of a step has its own subclass.

    ``name`` is the key that a caller sends under ``configurable``. ``step`` names the step that it changes.
    """

    name: Name
    step: Name
    description: str = Field(default="", max_length=500)
    field: str

    # Whether it replaces the complete step; the caller's other choices then apply to the replacement.
    replaces: ClassVar[bool] = False

    @property
    def leads_to(self) -> Sequence[Any]:
        """The values that refer to other records; a check tries each of them."""
        return ()

    def json_schema(self, step: Any) -> dict[str, Any]:
        """JSON Schema of the value that a caller sends; ``step`` is of a kind that supports this option."""
        raise NotImplementedError

    def applied(self, step: Any, value: Any) -> Any:
        """The step with the caller's choice applied; ``value`` must satisfy ``json_schema``."""
        raise NotImplementedError


class Step(Frozen):
    """A step as data; ``options`` lists the kinds of option that a spec may declare for it."""

    kind: str
    name: Name

    options: ClassVar[tuple[type[Option], ...]] = ()

    def offers(self, option: Option) -> bool:
        """Whether a spec may declare this kind of option for the step."""
        return type(option) in self.options

    def references(self) -> Iterator[Reference]:
        """The records that the step refers to, without any choice of a caller."""
        yield from ()

    def resolved(self, library: Library, *, fallbacks: Sequence[PlanTarget]) -> "PlannedStep":
        """The step with every reference looked up; raises InvalidSpec, which names what is missing.

        ``fallbacks`` are the chain's fallbacks, for steps that call models.
        """
        raise NotImplementedError

    def templates(self) -> Iterator[str]:
        """The templates that are written in the step itself."""
        yield from ()

    def readable(self) -> Iterator[str]:
        """The step as lines of text, for people and for comparing versions."""
        raise NotImplementedError


# --- Steps that run ----------------------------------------------------------------------------

Asked = Mapping[str, tuple[dict[str, Any], bool]]
"""Maps the name of an input to its JSON Schema and whether it is required."""

ANY: dict[str, Any] = {}
"""The schema of an input that may have any type: other steps decide, or else it is a string."""


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """A step with every reference looked up. Many runs share it, so it holds no data of a caller."""

    kind: ClassVar[str]
    is_one_call: ClassVar[bool] = False
    """Whether it does nothing but call a model once, so that events of the call say enough."""
    name: str

    def inputs(self, *, system_messages: bool) -> Asked:
        """The inputs that the step needs, in order of first use.

        ``system_messages``: whether the chain lets callers send system messages.
        """
        raise NotImplementedError

    @property
    def output_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def behaviour(self) -> list[Any]:
        """JSON data for the digest: everything that affects the output, so no credentials and no limits."""
        raise NotImplementedError

    @property
    def children(self) -> tuple["PlannedStep", ...]:
        """The steps inside this one."""
        return ()

    def walk(self) -> Iterator["PlannedStep"]:
        """This step and all steps inside it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def uses(self) -> Mapping[str, int]:
        """The version number of each prompt that the step uses, by slug."""
        return {}

    @property
    def run_timeout_s(self) -> float | None:
        """Time limit in seconds for a run with this step; ``None`` where nothing that it uses sets one."""
        return None

    def load(self) -> None:
        """Import the modules that the step needs. Call it in a thread: an import blocks the event loop."""

    def build(self) -> None:
        """Create the objects that the step needs in this event loop; raises InvalidSpec if it cannot run."""

    def run(
        self, values: Mapping[str, Any], context: RunContext, *, path: str, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        """Yield the output in pieces; a step that cannot stream yields it in one piece.

        ``values`` are the run's input and the outputs of the earlier steps. ``path`` names this step in
        events and records. Raises ProviderError, OutputInvalid.
        """
        raise NotImplementedError

    def whole(self, pieces: Sequence[Any]) -> Any:
        """Combine streamed pieces into the complete output."""
        return pieces[-1] if pieces else None

    async def pieces(
        self, values: Mapping[str, Any], context: RunContext, *, path: str, streaming: bool
    ) -> AsyncGenerator[Any, None]:
        """Yield the pieces of ``run``, and emit the events of the step's start and end."""
        if context.is_watched:
            await context.emit(self._event("started", context, path, input=values))
        emitted = []
        async with aclosing(self.run(values, context, path=path, streaming=streaming)) as pieces:
            async for piece in pieces:
                emitted.append(piece)
                yield piece
        if context.is_watched:
            await context.emit(self._event("finished", context, path, output=self.whole(emitted)))

    def _event(
        self, status: Literal["started", "finished"], context: RunContext, path: str, **data: Any
    ) -> events.Step:
        return events.Step(
            path=path,
            kind=self.kind,
            name=self.name,
            status=status,
            at_ms=context.elapsed_ms,
            is_one_call=self.is_one_call,
            **data,
        )
