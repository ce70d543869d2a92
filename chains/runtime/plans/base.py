"""Plans: all that a run needs, with every reference resolved, so that nothing is looked up while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import SecretStr

from chains.runtime.errors import ChainHubError
from chains.runtime.pricing import Price
from chains.runtime.steps.llm import Params, Parser
from chains.runtime.steps.prompts import PromptSpec


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """Where models live. Time limits in seconds; ``max_concurrency`` 0 means no cap."""

    slug: str
    kind: str
    base_url: str = ""
    api_key: SecretStr
    connect_s: float = 5
    first_token_s: float = 30
    chunk_s: float = 30
    answer_s: float = 120
    run_s: float = 300
    max_concurrency: int = 0
    # Whether calls may go around the provider's SDK, where its kind knows how.
    direct: bool = True


@dataclass(frozen=True, kw_only=True)
class PlanTarget:
    """A model that may answer, and what it charges (``None``: not known)."""

    provider: ProviderConfig
    model: str
    price: Price | None = None


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """``targets``: the first answers, the others stand in before its first token."""

    name: str
    prompt_slug: str
    prompt_version: int
    prompt: PromptSpec
    targets: tuple[PlanTarget, ...]
    params: Params
    parser: Parser


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
    def step_names(self) -> tuple[str, ...]:
        """The steps that a run tells of."""
        return ()

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

    @property
    def build_key(self) -> str:
        """Equal where a built runnable may serve again."""
        raise NotImplementedError

    def check_input(self, value: Any) -> Input:
        """Raises InvalidInput, its ``loc`` relative to the input."""
        raise NotImplementedError

    def load(self) -> None:
        """Import what the run will need, here and now rather than in the event loop."""

    def build(self) -> Runnable[Any, Any]:
        """The runnable; called inside the loop that its connections will belong to."""
        raise NotImplementedError

    def build_direct(self) -> Any:
        """The same as a ``direct.DirectChain``, where that can be; else ``None``."""
        return None

    def is_piece(self, chunk: Any) -> bool:
        """Whether a chunk is worth telling."""
        return True

    def combine(self, chunks: Sequence[Any]) -> Any:
        """The output that a stream's chunks add up to."""
        raise NotImplementedError

    def listening(self, config: RunnableConfig, trace: Any) -> RunnableConfig:
        """``config`` with what it takes for ``trace`` to hear of model calls."""
        return config

    def known_fault(self, error: Exception) -> ChainHubError | None:
        """What an exception means that is not ours; ``None`` for one that nobody foresaw."""
        return None
