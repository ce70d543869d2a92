"""What people do with a provider: test it, and choose one of its models."""

from chains.actions.providers.findings import Check
from chains.actions.providers.suggestions import suggested_models
from chains.actions.providers.trial import Trial, try_out

__all__ = ["Check", "Trial", "suggested_models", "try_out"]
