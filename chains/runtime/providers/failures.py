"""Judges the failures that providers report: by status, code, type and message, in an answer of any status.

Formats: OpenAI API reference, "Error codes"; those of other servers as observed, because few document theirs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chains.runtime import errors
from chains.runtime.errors import Told
from chains.runtime.wire.values import encode

MAX_TOLD_CHARS = 500
MAX_WORD_CHARS = 100
# More than is told, so that a key is never cut before it is masked.
MAX_READ_CHARS = 4000

# Codes and types, as letters in lower case, of failures that come with status 200 or inside a stream.
STATUS_OF_WORDS: Mapping[str, int] = {
    word: status
    for status, words in {
        401: "invalidapikey authenticationerror unauthorized unauthenticated invalidauthentication "
        "permissiondenied permissionerror accessdenied forbidden",
        429: "ratelimitexceeded ratelimiterror ratelimitreached ratelimit toomanyrequests "
        "resourceexhausted throttlingexception throttling requests tokens",
        400: "invalidrequesterror badrequesterror badrequest invalidrequest invalidargument "
        "invalidparameter invalidparametererror invalidprompt notfounderror notfound modelnotfound "
        "unsupportedparameter unsupportedvalue unprocessableentity contentfilter validationerror "
        "contentpolicyviolation",
        402: "billingerror",
        413: "requesttoolarge",
        408: "timeout requesttimeout timeouterror conflict",
    }.items()
    for word in words.split()
}
NO_CREDIT = re.compile(
    r"insufficient[ _]?(quota|balance|credits?|funds)|billing[ _](hard|not)"
    r"|credit balance is too low|not enough credits|out of credits|payment[ _]required",
    re.IGNORECASE,
)
CONTEXT_TOO_LONG = re.compile(
    r"context[ _](length|size|window|limit)|maximum context|exceed\w*[ _]context|context[ _]overflow"
    r"|context (\w+ )?(the )?overflow|model_max_prompt_tokens"
    r"|(prompt|input|messages?|request) (is |are |was |were )?too (long|large)"
    r"|input token count|too many (input |prompt )?tokens|string[ _](too long|above[ _]max[ _]length)"
    r"|reduce the (length|size) of (the|your) (messages|prompt|input)|input length .{0,40}exceed"
    r"|(prompt|input) (tokens?|length) .{0,80}(exceed|too l|maximum|greater|limit)"
    r"|(exceed|greater than|more than).{0,60}(max\w* (input|prompt) (tokens|length)|max\w* number of tokens)",
    re.IGNORECASE,
)
# A body that is too large is refused with this status, whatever its words are.
TOO_LARGE = 413
# A message about too many tokens in a minute is no matter of one input's length.
BY_LENGTH = frozenset({400, 413, 422, 500})


KEY_LIKE = re.compile(
    r"\b(?:(?:sk|pk|rk|gsk|xai)[-_]|AIza|Bearer\s+)[\w\-*.]{6,}|\b[A-Za-z0-9]{32,}\b", re.IGNORECASE
)


def masked(told: Told, *secrets: str) -> Told:
    """The same, bounded, without our own secrets and without anything that looks like a key."""
    return Told(
        status=told.status,
        code=_bounded(_mask(told.code, secrets), MAX_WORD_CHARS),
        type=_bounded(_mask(told.type, secrets), MAX_WORD_CHARS),
        param=_bounded(_mask(told.param, secrets), MAX_WORD_CHARS),
        message=_bounded(_mask(told.message, secrets)),
    )


def _mask(text: str, secrets: Iterable[str]) -> str:
    # The longest first: one secret may stand in another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "…")
    return KEY_LIKE.sub("…", text)


def _bounded(text: str, most: int = MAX_TOLD_CHARS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# --- Reading what a provider said --------------------------------------------------------------


def failure_in(value: Any, *, name: str = "") -> Told | None:
    """What an answer of status 200, or an event of a stream, says of a failure; ``None`` where it is none.

    ``name`` is the name of the event.
    """
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("error"):
        # Google's endpoint wraps its error object in a list.
        return told_in(value)
    if not isinstance(value, dict):
        return told_in(value) if name == "error" else None
    if _is_error(value.get("error")) or value.get("object") == "error" or name == "error":
        return told_in(value)
    if value.get("type") == "error" or (value.get("choices") is None and _is_flat_error(value)):
        return told_in(value)
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in (0, None):
        return _told({"code": base.get("status_code"), "message": base.get("status_msg")})
    return None


def told_in(body: Any, status: int | None = None) -> Told:
    """What the body of a failure says, whatever its shape is; ``status`` is the HTTP status."""
    if isinstance(body, list):
        body = next((item for item in body if isinstance(item, dict)), {"message": str(body)})
    if not isinstance(body, dict):
        return Told(status=status, message=_text(body))
    inner: Any = next((body[name] for name in ("error", "errors", "detail") if body.get(name)), body)
    if isinstance(inner, list):
        inner = next((item for item in inner if isinstance(item, dict)), {"message": str(inner)})
    if not isinstance(inner, dict):
        inner = body | {"message": body.get("message") or inner}
    if isinstance(inner.get("error"), dict):
        inner = inner["error"]
    told = _told(inner)
    return told if status is None else replace(told, status=status)


def told_of(error: Exception) -> tuple[Told, Mapping[str, str]]:
    """What an exception of any SDK tells of a failure, and the headers of the response that it carries.

    SDKs and HTTP libraries keep the status in ``status_code``, of the exception or of its ``response``.
    """
    response = getattr(error, "response", None)
    codes = (getattr(error, "status_code", None), getattr(response, "status_code", None))
    headers = getattr(response, "headers", None)
    told = Told(status=next((n for n in map(_status, codes) if n), None), message=_text(str(error)))
    return told, headers if isinstance(headers, Mapping) else {}


def _told(inner: Mapping[str, Any]) -> Told:
    message = next((inner[name] for name in ("message", "msg", "detail", "error") if inner.get(name)), "")
    kind = inner.get("type") or inner.get("status") or ""
    param = inner.get("param") or inner.get("loc") or ""
    code = inner.get("code")
    return Told(
        status=next(
            (n for n in map(_status, (code, inner.get("status"), inner.get("status_code"))) if n), None
        ),
        code="" if code is None else _text(code),
        type=_text(kind),
        param=_text(param),
        message=_text(message),
    )


# Some gateways send such codes with every answer.
NO_FAULT = (None, "", 0, "0", 200, "200", "ok", "success", False)


def _is_error(error: Any) -> bool:
    if isinstance(error, dict):
        return any(error.values()) and error.get("code", "?") not in NO_FAULT[2:]
    return bool(error)


def _is_flat_error(value: Mapping[str, Any]) -> bool:
    """An error object without an ``error`` around it, such as ``{"message": …, "code": 500}``."""
    if not isinstance(value.get("message") or value.get("msg"), str):
        return False
    return value.get("code") not in NO_FAULT or "error" in str(value.get("type", "")).lower()


def _status(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None


def _text(value: Any) -> str:
    """The value as a text that can be stored; ``masked`` bounds it, since half a key cannot be found."""
    text = value if isinstance(value, str) else str(value)
    return str(encode(" ".join(text[:MAX_READ_CHARS].split())))


# --- Judging it --------------------------------------------------------------------------------


def judged(told: Told, *, retry_after_s: float | None = None) -> errors.ProviderError:
    """The error for what a provider said; it carries ``told``."""
    error = _judged(told, retry_after_s)
    error.told = told
    return error


def _judged(told: Told, retry_after_s: float | None) -> errors.ProviderError:
    status = told.status or _status_of_words(told)
    words = f"{told.code} {told.type} {told.message}"
    if NO_CREDIT.search(words) or status == 402:
        return errors.ProviderRateLimited(
            "This server's account at the model provider has no credit left. Tell its operator.", quota=True
        )
    if status == TOO_LARGE or (status in BY_LENGTH and CONTEXT_TOO_LONG.search(words)):
        return errors.ContextTooLong()
    if status in (401, 403, 407):
        return errors.ProviderAuthFailed()
    if status == 429:
        return errors.ProviderRateLimited(retry_after_s=retry_after_s)
    if status in (408, 409, 425):
        return errors.RetryableRefusal(retry_after_s=retry_after_s)
    if status >= 500:
        return errors.ProviderFailed(retry_after_s=retry_after_s)
    if 300 <= status < 400:
        return errors.ProviderGarbage("The model provider sent a redirect, which is not followed.")
    if status == 404:
        return errors.ProviderRefused(
            "The model provider does not know this model or address. Tell this server's operator."
        )
    return errors.ProviderRefused()


def _status_of_words(told: Told) -> int:
    """The status that the code or the type stands for; 500 for words that are not known."""
    for word in (told.code, told.type):
        status = STATUS_OF_WORDS.get(re.sub(r"[^a-z]", "", word.lower()))
        if status is not None:
            return status
    if CONTEXT_TOO_LONG.search(f"{told.code} {told.type}"):
        return 400
    return 500


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``retry-after-ms`` or ``Retry-After`` in seconds; ``None`` for a date or an invalid value."""
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None


# --- Connections -------------------------------------------------------------------------------

# Names of exceptions of httpx and its successors. Compared by name, because the HTTP library is an internal
# choice of an SDK.
FAILED_CONNECTIONS: Mapping[type[errors.ProviderError], frozenset[str]] = {
    errors.ProviderTimeout: frozenset({"ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout"}),
    errors.ProviderCut: frozenset({"ReadError", "RemoteProtocolError"}),
    errors.ProviderUnreachable: frozenset({"ConnectError", "ProxyError", "UnsupportedProtocol"}),
}


def failed_connection(error: BaseException) -> errors.ProviderError | None:
    """The error for a connection that failed below ``error``; ``None`` where none did."""
    names = {type(cause).__name__ for cause in _causes(error)}
    return next((found() for found, known in FAILED_CONNECTIONS.items() if names & known), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
