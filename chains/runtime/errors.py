"""All errors of chains, as one class tree; each class has a stable ``code``.

ChainHubError
├── ChainNotFound           no such chain, label or version, or this caller may not use it
├── StepsHidden             the caller asked for inner steps and may not see them
├── InvalidInput            the caller's input does not fit the chain's schema
├── InvalidConfigHash       a config in a URL that cannot be decoded
├── InvalidTemplate         a prompt message that is not a plain ``{name}`` template
├── InvalidSpec             a chain configuration that cannot run
├── RunCancelled            the caller stopped the run
├── RunInterrupted          the process of the run stopped
├── ShuttingDown            this process accepts no new runs
├── DatabaseUnavailable     the database cannot be read or written now
├── RunTimeout              the run took longer than its time limit
├── OutputInvalid           an answer does not fit the parser, or is too long
├── AnswerEmpty             the model's answer has no text
└── ProviderError           any failure of a model call
    ├── ProviderAuthFailed  the provider refuses our credential
    ├── ProviderBusy        no place became free: our own cap on calls at once
    ├── ProviderCut         the answer ended before its finish reason
    ├── ProviderFailed      5xx
    ├── ProviderGarbage     an answer that is not in the provider's format
    ├── ProviderRateLimited 429
    ├── ProviderRefused     any other 4xx
    │   ├── ContextTooLong      the input exceeds the model's context
    │   └── RetryableRefusal    408, 409 and 425
    ├── ProviderTimeout     too slow to connect, to start the answer or to continue it
    └── ProviderUnreachable no connection

Messages are safe to show to any caller: they never contain a provider's own text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

FieldError = Mapping[str, Any]
"""``{"type": str, "loc": [str | int, ...], "msg": str}``, the format of pydantic's errors."""


class ChainHubError(Exception):
    """The base class; ``str(error)`` is the message for the caller.

    ``run`` is the ``events.Started`` of the run that failed; ``None`` where none was started.
    """

    code: ClassVar[str] = "internal_error"
    message: ClassVar[str] = "Internal server error."
    run: Any = None

    def __init__(self, message: str = ""):
        super().__init__(message or self.message)


def forget_frames(error: BaseException | None) -> None:
    """Let go of what the code of an exception held when it was raised; call it once the exception is handled.

    Frames refer to the exception that their traceback names. Only the garbage collector finds such a circle,
    and until then the whole request stays in memory.
    """
    rest = [error]
    while rest:
        if (error := rest.pop()) is not None and error.__traceback__ is not None:
            error.__traceback__ = None
            rest += [error.__cause__, error.__context__]


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
    """``errors`` has one item for each faulty field; its ``loc`` is relative to the input."""

    code = "invalid_input"
    message = "The input does not fit the chain's schema."

    def __init__(self, message: str = "", *, errors: Sequence[FieldError] = ()):
        super().__init__(message)
        self.errors = list(errors)

    @classmethod
    def at(cls, loc: Sequence[str | int], kind: str, msg: str, *, message: str = "") -> "InvalidInput":
        """An error with one item; ``kind`` and ``msg`` are the ``type`` and ``msg`` of pydantic's errors."""
        return cls(message, errors=[{"type": kind, "loc": list(loc), "msg": msg}])

    def inside(self, *place: str | int) -> "InvalidInput":
        """A copy for an enclosing value: every ``loc`` is prefixed with ``place``, the path to this value."""
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


class AnswerEmpty(ChainHubError):
    code = "answer_empty"
    message = "The model's answer has no text."


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a provider said about a failure, for staff only: it may quote the prompt. The texts are bounded.

    ``status`` is the HTTP status, or the one that the provider named inside its answer; ``None`` for neither.
    """

    status: int | None = None
    code: str = ""
    type: str = ""
    param: str = ""
    message: str = ""


class ProviderError(ChainHubError):
    """``retryable``: the same request may succeed when sent again.

    ``retry_after_s``: how many seconds to wait before that; ``None`` where unknown. ``told`` is what the
    provider said of the failure, if it said something. ``said`` is the answer's text so far, where it came in
    no piece. ``usage`` is what the provider counted of an answer that failed, as ``pricing.Usage``.
    """

    code = "provider_error"
    message = "The model provider failed."
    retryable: bool = False
    retry_after_s: float | None = None
    told: Told | None = None
    said: str = ""
    usage: Any = None

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
    """``quota``: the account has no credit left, so a retry cannot succeed."""

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
    """The only refusal that the caller can fix: by sending a shorter input."""

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
    """Status 408, 409 or 425: the provider refused the request now, but may accept it when sent again."""

    retryable = True


# --- For developers ----------------------------------------------------------------------------


class RegistrationError(Exception):
    """A chain or a kind of provider cannot be registered with these arguments; no caller meets it."""
