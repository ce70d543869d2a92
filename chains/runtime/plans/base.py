"""Plans: everything that a run needs, with every reference resolved, so that a run looks nothing up."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig

from chains.runtime.context import RunContext
from chains.runtime.errors import ChainHubError


@dataclass(frozen=True, kw_only=True)
class Input:
    """A validated input: ``data`` is plain data for the record, ``value`` is what the plan runs with."""

    data: Any
    value: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run executes, for either kind of chain. Two plans with the same ``digest`` behave alike.

    ``version`` is the version number of a configured chain. ``package`` is the name and version of the
    package that a code chain comes from.
    """

    chain_slug: str
    chain_name: str
    chain_description: str = ""
    version: int | None = None
    package: str = ""
    run_timeout_s: float
    # Whether callers may send system messages, which could override the chain's instructions.
    system_messages: bool = False
    # The caller's validated choices by name; names that the chain does not declare are not in it.
    configurable: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version_name(self) -> str:
        """The version as people read it: ``3``, or ``jokes 1.2.0``."""
        return self.package if self.version is None else str(self.version)

    @property
    def prompts(self) -> Mapping[str, int]:
        """The version number of each prompt that the plan uses, by slug."""
        return {}

    @property
    def has_several_steps(self) -> bool:
        return False

    @property
    def answering_step(self) -> str:
        """The path of the step whose output is the run's."""
        return ""

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
        """Validate a caller's input. Raises InvalidInput; its ``loc`` is relative to the input."""
        raise NotImplementedError

    def load(self) -> None:
        """Import the modules that the run needs. Call it in a thread: an import blocks the event loop."""

    async def invoke(self, value: Any, context: RunContext, config: RunnableConfig) -> Any:
        """Run the plan and return its output; ``config`` has the run's id and name for LangChain.

        Raises ProviderError, OutputInvalid, and whatever the code of a code chain raises.
        """
        raise NotImplementedError

    def stream(self, value: Any, context: RunContext, config: RunnableConfig) -> AsyncGenerator[Any, None]:
        """Run the plan and yield its output in pieces; raises the same errors as ``invoke``."""
        raise NotImplementedError

    def langchain_events(
        self, value: Any, context: RunContext, config: RunnableConfig
    ) -> AsyncIterator[Mapping[str, Any]] | None:
        """Run the plan with LangChain's ``astream_events`` (v2); ``None`` where LangChain does not run it."""
        return None

    def whole(self, pieces: Sequence[Any]) -> Any:
        """Combine streamed pieces into the complete output."""
        raise NotImplementedError

    def known_fault(self, error: Exception) -> ChainHubError | None:
        """The ChainHubError for an exception of another library; ``None`` where there is none."""
        return None
