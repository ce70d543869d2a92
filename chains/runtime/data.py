"""The base of whatever is stored as data."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Data that is checked once and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
