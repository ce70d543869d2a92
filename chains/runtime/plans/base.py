"""Plans: all that a run needs, with every reference resolved, so that nothing is looked up while it runs."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig

from chains.runtime.context import RunContext
from chains.runtime.errors import ChainHubError


@dataclass(frozen=True, kw_only=True)
class Input:
    """A caller's input, checked: as plain data for the record, and as LangChain takes it."""

    data: Any
    value: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What really runs, whichever kind of chain it is. Two plans with the same ``digest`` behave alike.

    ``version`` numbers a chain that is configured; ``package`` names the software, with its version,
    that a chain in code comes from.
    """

    chain_slug: str
    chain_name: str
    chain_description: str = ""
    version: int | None = None
    package: str = ""
    run_timeout_s: float
    # Whether a caller's messages may be instructions.
    system_messages: bool = False
    # What the caller has chosen, by names that the chain knows.
    configurable: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version_name(self) -> str:
        """The version for people: ``3``, or ``jokes 1.2.0``."""
        return self.package if self.version is None else str(self.version)

    @property
    def prompts(self) -> Mapping[str, int]:
        """Slugs of prompts, and the numbers of their versions."""
        return {}

    @property
    def has_several_steps(self) -> bool:
        return False

    @property
    def input_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def output_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def config_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def digest(self) -> str:
        raise NotImplementedError

    def check_input(self, value: Any) -> Input:
        """Raises InvalidInput, its ``loc`` relative to the input."""
        raise NotImplementedError

    def load(self) -> None:
        """Import what the run will need, here and now rather than in the event loop."""

    async def invoke(self, value: Any, context: RunContext, config: RunnableConfig) -> Any:
        """The output; ``config`` names the run.

        Raises ProviderError, OutputInvalid, and what a chain in code raises.
        """
        raise NotImplementedError

    def stream(self, value: Any, context: RunContext, config: RunnableConfig) -> AsyncGenerator[Any, None]:
        """The output in pieces as they come; raises as ``invoke`` does."""
        raise NotImplementedError

    def langchain_events(
        self, value: Any, context: RunContext, config: RunnableConfig
    ) -> AsyncIterator[Mapping[str, Any]] | None:
        """The run as ``astream_events`` (v2) tells of it, where LangChain runs it; else ``None``."""
        return None

    def whole(self, pieces: Sequence[Any]) -> Any:
        """The output that the pieces add up to."""
        raise NotImplementedError

    def known_fault(self, error: Exception) -> ChainHubError | None:
        """What an exception means that is not ours; ``None`` for one that nobody foresaw."""
        return None
