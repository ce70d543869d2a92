"""Everything that can go wrong with a chain, as one tree; each class carries a stable ``code``.

ChainHubError
├── ChainNotFound           no such chain, label or version, or not for this caller
├── StepsHidden             inner steps, to a caller who may not see them
├── InvalidInput            the caller's input does not fit the chain's schema
├── InvalidConfigHash       a config in a URL that cannot be decoded
├── InvalidTemplate         a prompt message that is not a plain ``{name}`` template
├── InvalidSpec             a chain configuration that cannot run
├── RunCancelled            the caller stopped it
├── RunInterrupted          the process that ran it stopped
├── ShuttingDown            this process takes no new runs
├── DatabaseUnavailable     what is needed cannot be looked up or written now
├── RunTimeout              the whole run took too long
├── OutputInvalid           the model's answer does not fit the parser
└── ProviderError           everything that happens inside a model call
    ├── ProviderAuthFailed  the provider refuses our credential
    ├── ProviderBusy        our own concurrency cap for it stayed full
    ├── ProviderCut         the answer ended before its finish reason
    ├── ProviderFailed      5xx
    ├── ProviderGarbage     an answer that is not in the provider's format
    ├── ProviderRateLimited 429
    ├── ProviderRefused     any other 4xx
    ├── ProviderTimeout     too slow to connect, to begin or to go on
    └── ProviderUnreachable no connection

Messages are safe to show to any caller: they never contain a provider's own text.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

FieldError = Mapping[str, Any]
"""``{"type": str, "loc": [str | int, ...], "msg": str}``, as pydantic words its errors."""


class ChainHubError(Exception):
    """Base of all; ``str(error)`` is the message for the caller."""

    code: ClassVar[str] = "internal_error"
    message: ClassVar[str] = "Internal server error."

    def __init__(self, message: str = ""):
        super().__init__(message or self.message)


class ChainNotFound(ChainHubError):
    code = "not_found"
    message = "Not found."


class StepsHidden(ChainHubError):
    code = "steps_hidden"
    message = (
        "This chain does not show its inner steps to its callers. "
        "Its editors can allow it; stream answers without them."
    )


class InvalidInput(ChainHubError):
    """``errors`` name each field; their ``loc`` is relative to the input."""

    code = "invalid_input"
    message = "The input does not fit the chain's schema."

    def __init__(self, message: str = "", *, errors: Sequence[FieldError] = ()):
        super().__init__(message)
        self.errors = list(errors)

    @classmethod
    def at(cls, loc: Sequence[str | int], kind: str, msg: str, *, message: str = "") -> "InvalidInput":
        """With one fault; ``kind`` and ``msg`` as pydantic has them."""
        return cls(message, errors=[{"type": kind, "loc": list(loc), "msg": msg}])

    def inside(self, *place: str | int) -> "InvalidInput":
        """The same, of a value that stands at ``place`` in a larger one."""
        return InvalidInput(
            str(self), errors=[{**error, "loc": [*place, *error["loc"]]} for error in self.errors]
        )


class InvalidConfigHash(ChainHubError):
    code = "invalid_config_hash"
    message = "Invalid config hash"


class InvalidTemplate(ChainHubError):
    """``position`` counts characters from 0; the message gives line and column from 1."""

    code = "invalid_template"

    def __init__(self, message: str, *, position: int):
        super().__init__(message)
        self.position = position


class InvalidSpec(ChainHubError):
    code = "invalid_spec"
    message = "The chain's configuration cannot run."


class RunCancelled(ChainHubError):
    code = "cancelled"
    message = "The run was cancelled."


class RunInterrupted(ChainHubError):
    code = "interrupted"
    message = "The server stopped before the run had ended."


class ShuttingDown(ChainHubError):
    code = "shutting_down"
    message = "The server restarts. Try again in a few seconds."
    retry_after_s = 5.0


class DatabaseUnavailable(ChainHubError):
    code = "database_unavailable"
    message = "The server cannot reach its database. Try again in a few seconds."
    retry_after_s = 5.0


class RunTimeout(ChainHubError):
    code = "run_timeout"
    message = "The run took longer than its time limit."


class OutputInvalid(ChainHubError):
    code = "output_invalid"
    message = "The model's answer does not have the form that the chain promises."


class ProviderError(ChainHubError):
    """``retryable``: whether the same request may succeed when sent again, and how soon if told."""

    code = "provider_error"
    message = "The model provider failed."
    retryable: ClassVar[bool] = False
    retry_after_s: float | None = None

    def __init__(self, message: str = "", *, retry_after_s: float | None = None):
        super().__init__(message)
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class ProviderAuthFailed(ProviderError):
    code = "provider_auth_failed"
    message = "The model provider refused this server's credential. Tell its operator."


class ProviderBusy(ProviderError):
    code = "provider_busy"
    message = "All places for this model provider are taken. Try again shortly."
    retry_after_s = 5.0


class ProviderCut(ProviderError):
    code = "provider_cut"
    message = "The model provider ended its answer before it was complete."
    retryable = True


class ProviderFailed(ProviderError):
    code = "provider_failed"
    message = "The model provider reported an internal error."
    retryable = True


class ProviderGarbage(ProviderError):
    code = "provider_garbage"
    message = "The model provider sent an answer that could not be understood."


class ProviderRateLimited(ProviderError):
    """``quota``: the account is out of credit, which waiting does not mend."""

    code = "provider_rate_limited"
    message = "The model provider's rate limit is reached. Try again later."

    def __init__(self, message: str = "", *, retry_after_s: float | None = None, quota: bool = False):
        super().__init__(message, retry_after_s=retry_after_s)
        self.quota = quota

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        return not self.quota


class ProviderRefused(ProviderError):
    code = "provider_refused"
    message = "The model provider refused the request."


class ContextTooLong(ProviderRefused):
    """The one refusal that the caller can mend, with a shorter input."""

    code = "context_too_long"
    message = "The input is longer than the model can read."


class ProviderTimeout(ProviderError):
    code = "provider_timeout"
    message = "The model provider took too long to answer."


class ProviderUnreachable(ProviderError):
    code = "provider_unreachable"
    message = "The model provider could not be reached."
    retryable = True


class RetryableRefusal(ProviderRefused):
    """408 and 409: refused now, may be accepted when sent again."""

    retryable = True
