"""What of a client's ``config`` counts: an allow-list for each chain, everything else is dropped."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from chains.runtime.errors import InvalidInput
from chains.runtime.wire.fielderrors import field_errors

CONFIGURABLE = "configurable"
CONFIG_KEYS = (CONFIGURABLE, "tags", "metadata", "recursion_limit", "max_concurrency")
"""What a chain may allow; the endpoint, credentials, headers, callbacks and names never are."""

Tag = Annotated[str, StringConstraints(max_length=200)]


class RunConfig(BaseModel):
    """A client's config, reduced to what its chain allows; ``configurable`` is checked by the plan.

    ``run_id`` names the run, where no other run has that id.
    """

    model_config = ConfigDict(frozen=True)

    run_id: UUID | None = None
    configurable: Any = None
    tags: list[Tag] = Field(default=[], max_length=50)
    metadata: dict[str, Any] = {}
    recursion_limit: int | None = Field(default=None, ge=1, le=1000)
    max_concurrency: int | None = Field(default=None, ge=1, le=100)

    def for_langchain(self, **own: Any) -> RunnableConfig:
        """The same for LangChain; ``own`` is what the server adds."""
        given = self.model_dump(include={"tags", "recursion_limit", "max_concurrency"}, exclude_unset=True)
        metadata = {k: v for k, v in self.metadata.items() if not k.startswith("__")}
        return cast(RunnableConfig, {"metadata": metadata, **given, **own})


def merge_configs(*configs: Any) -> dict[str, Any]:
    """Later ones win; what is a mapping is merged by key, and tags are united.

    Raises InvalidInput for a config that is no object.
    """
    merged: dict[str, Any] = {}
    for config in configs:
        for key, value in _object(config).items():
            earlier = merged.get(key)
            if isinstance(earlier, dict) and isinstance(value, dict):
                value = {**earlier, **value}
            elif key == "tags" and isinstance(earlier, list) and isinstance(value, list):
                known = {tag for tag in earlier if isinstance(tag, str)}
                value = [*earlier, *(tag for tag in value if not isinstance(tag, str) or tag not in known)]
            merged[key] = value
    return merged


def read_config(data: Any, *, allowed: Collection[str]) -> RunConfig:
    """Raises InvalidInput, its ``loc`` relative to the config."""
    # Where the chain has choices that it does not allow, its plan says so.
    wanted = {"run_id", CONFIGURABLE, *allowed}
    # LangChain's clients write out what is not set.
    given = {key: value for key, value in _object(data).items() if key in wanted and value is not None}
    try:
        return RunConfig.model_validate(given)
    except ValidationError as error:
        raise InvalidInput("The config is not valid.", errors=field_errors(error)) from error


def _object(config: Any) -> Mapping[str, Any]:
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise InvalidInput.at(
            ["config"], "dict_type", "Input should be an object", message="The body is not valid."
        )
    return config
