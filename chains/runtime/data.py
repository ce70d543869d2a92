"""The base class of configuration that is stored as data."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable data, validated once; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
