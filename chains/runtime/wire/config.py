"""Reads a client's ``config``: each chain has an allow-list of keys, and all other keys are dropped."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from chains.runtime.errors import InvalidInput
from chains.runtime.wire.fielderrors import field_errors

CONFIGURABLE = "configurable"
CONFIG_KEYS = (CONFIGURABLE, "tags", "metadata", "recursion_limit", "max_concurrency")
"""The keys that a chain may allow. Endpoint, credentials, headers, callbacks and names are never allowed."""

Tag = Annotated[str, StringConstraints(max_length=200)]


class RunConfig(BaseModel):
    """A client's config with the keys that the chain allows; the plan validates ``configurable``.

    ``run_id`` becomes the id of the run; no other run may have it.
    """

    model_config = ConfigDict(frozen=True)

    run_id: UUID | None = None
    configurable: Any = None
    tags: list[Tag] = Field(default=[], max_length=50)
    metadata: dict[str, Any] = {}
    recursion_limit: int | None = Field(default=None, ge=1, le=1000)
    max_concurrency: int | None = Field(default=None, ge=1, le=100)

    def for_langchain(self, **own: Any) -> RunnableConfig:
        """The config for LangChain; ``own`` has the keys that the server adds."""
        given = self.model_dump(include={"tags", "recursion_limit", "max_concurrency"}, exclude_unset=True)
        metadata = {k: v for k, v in self.metadata.items() if not k.startswith("__")}
        return cast(RunnableConfig, {"metadata": metadata, **given, **own})


def merge_configs(*configs: Any) -> dict[str, Any]:
    """Merge configs: a later value wins, mappings are merged by key, tags are united.

    Raises InvalidInput for a config that is not an object.
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
    """Validate a client's config. Raises InvalidInput; its ``loc`` is relative to the config."""
    # ``configurable`` is kept even where the chain does not allow it, because the plan then raises an error.
    wanted = {"run_id", CONFIGURABLE, *allowed}
    # LangChain's clients send keys that are not set as null.
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
