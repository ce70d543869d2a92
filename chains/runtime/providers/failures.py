"""Judges the failures that providers report: by status, code, type and message, in an answer of any status.

Formats: OpenAI API reference, "Error codes"; those of other servers as observed, because few document theirs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chains.runtime import errors
from chains.runtime.errors import Told
from chains.runtime.wire.values import encode, shortened

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
        404: "modelnotexist",
        408: "timeout requesttimeout timeouterror conflict",
    }.items()
    for word in words.split()
}
# Numbers that are no HTTP status. Sources: Zhipu's "Error codes", Baidu Qianfan's "Error codes".
STATUS_OF_NUMBERS: Mapping[str, int] = {
    number: status
    for status, numbers in {
        401: "1000 1001 1002 1003 1004 110 111 13 14",
        402: "1113 19",
        429: "1302 1303 1305 17 18 336501 336502",
        400: "1210 1211 1212 1213 1214 1261 336003 336007",
    }.items()
    for number in numbers.split()
}
# Source: MiniMax's "Error codes", of the object ``base_resp``.
STATUS_OF_BASE_RESP = {1002: 429, 1041: 429, 2056: 429, 1004: 401, 2049: 401, 1008: 402, 1039: 413, 2013: 400}
NO_CREDIT = re.compile(
    r"insufficient[ _]?(\w+[ _])?(quota|balance|credits?|funds)|billing[ _](hard|not)|balance is insufficient"
    r"|credit balance is too low|(not enough|out of|no|all available|n[o']t have any) credits"
    r"|payment[ _]required|overdue|arrear|in debt|budget[ _](has been )?exceeded|exceeded[ _](your )?budget"
    r"|key limit exceeded|quota[ _](failed|exhausted|not enough)",
    re.IGNORECASE,
)
CONTEXT_TOO_LONG = re.compile(
    r"context[ _]?(length|size|window|limit)|maximum context|exceed\w*[ _]context|context[ _]overflow"
    r"|context (\w+ )?(the )?overflow|model_max_prompt_tokens"
    r"|(prompt|input|messages?|request) (is |are |was |were )?too (long|large)"
    r"|input token count|too many (input |prompt )?tokens|string[ _](too long|above[ _]max[ _]length)"
    r"|reduce the (length|size) of (the|your) (messages|prompt|input)|input length .{0,40}exceed"
    r"|(prompt|input) (tokens?|length) .{0,80}(exceed|too l|maximum|greater|limit)"
    r"|(exceed|greater than|more than|longer than).{0,60}"
    r"(max\w* (input|prompt|message|model) (tokens|length)|max\w* number of tokens|model token limit"
    r"|max message tokens)"
    r"|max\w* prompt length|range of input length|number of tokens in the (prompt|input)"
    r"|inputs?\W{0,2} must have (less|fewer) than \d+ tokens|expected maxlength|max_seq_len"
    r"|max(imum)? tokens of \d+ exceeded|default_max_tokens|max(imum)? model length|model max length"
    r"|model'?s maximum length|prompt 超长"
    r"|\binputs?\W{0,2} tokens? \+ \W?max_new_tokens",
    re.IGNORECASE,
)
WRONG_KEY = re.compile(
    r"(invalid|incorrect|wrong|missing|expired|no|malformed|illegal) "
    r"(api[ _-]?key|access[ _-]?key|authentication|credentials?)\b"
    r"|api[ _-]?key.{0,30}(not valid|invalid|expired|not found|missing|incorrect|required|revoked|disabled)"
    r"|api_?key_?invalid|unauthori[sz]ed|authentication (failed|failure|error|required)",
    re.IGNORECASE,
)
# Numbers of Zhipu, Baidu and Spark for the same.
CONTEXT_CODES = frozenset({"1261", "336007", "10907"})
# A body that is too large is refused with this status, whatever its words are.
TOO_LARGE = 413
# A message about too many tokens in a minute is no matter of one input's length.
BY_LENGTH = frozenset({400, 413, 422, 500})
# What a server says that cannot load a model; its context is too long for the machine, not for the model.
NO_MEMORY = re.compile(r"(system |gpu |more |out of )memory", re.IGNORECASE)
# A refusal of what the prompt says.
MODERATED = re.compile(r"moderation|flagged|content[ _](policy|filter|management)", re.IGNORECASE)


KEY_LIKE = re.compile(
    r"\b(?:(?:sk|pk|rk|gsk|xai)[-_]|AIza|(?:Bearer|Basic)\s+)[\w\-*.+/=]{6,}|\b[A-Za-z0-9]{32,}\b",
    re.IGNORECASE,
)


def masked(told: Told, *secrets: str) -> Told:
    """The same, bounded, without our own secrets and without anything that looks like a key."""
    return Told(
        status=told.status,
        code=shortened(_mask(told.code, secrets), MAX_WORD_CHARS),
        type=shortened(_mask(told.type, secrets), MAX_WORD_CHARS),
        param=shortened(_mask(told.param, secrets), MAX_WORD_CHARS),
        message=shortened(_mask(told.message, secrets), MAX_TOLD_CHARS),
    )


def without(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets; shorter ones than four characters would hide too much."""
    # The longest first: one secret may stand in another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "…")
    return text


def _mask(text: str, secrets: Iterable[str]) -> str:
    return KEY_LIKE.sub("…", without(text, secrets))


# --- Reading what a provider said --------------------------------------------------------------


def failure_in(
    value: Any, *, name: str = "", has_answer: bool = False, is_one_of_many: bool = False
) -> Told | None:
    """What an answer of status 200, or an event of a stream, says of a failure; ``None`` where it is none.

    ``name`` is the name of the event. ``has_answer``: the object belongs to an answer. ``is_one_of_many``:
    others may follow, so only what certainly is a failure counts.
    """
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("error"):
        # Google's endpoint wraps its error object in a list.
        return told_in(value)
    if not isinstance(value, dict):
        return told_in(value) if name == "error" else None
    if name == "error" or "error" in (value.get("object"), value.get("type")):
        return told_in(value)
    if error := next((e for e in _errors_in(value) if _is_error(e, has_answer=has_answer)), None):
        return told_in(value if error is value.get("error") else {"error": error})
    if not has_answer and _is_flat_error(value, certainly=is_one_of_many):
        return told_in(value)
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in (0, None):
        code = base.get("status_code")
        told = _told({"code": code, "message": base.get("status_msg")})
        return replace(told, status=STATUS_OF_BASE_RESP.get(code) if isinstance(code, int) else None)
    return None


def _errors_in(value: Mapping[str, Any]) -> Iterator[Any]:
    """What stands where servers put an error: beside the answer, in its choice, or in what surrounds it."""
    yield value.get("error")
    choices, groq, tencent = value.get("choices"), value.get("x_groq"), value.get("Response")
    if isinstance(choices, list):
        yield from (choice.get("error") for choice in choices[:1] if isinstance(choice, dict))
    if isinstance(groq, dict):
        yield groq.get("error")
    if isinstance(tencent, dict):
        yield tencent.get("Error")


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
    if words := _words_behind(inner):
        told = replace(told, message=f"{told.message}: {words}".removeprefix(": "))
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


# The names under which servers tell of a failure.
MESSAGES = ("message", "msg", "detail", "error", "error_msg", "error_message", "errorMessage", "Message")
CODES = ("code", "error_code", "errorCode", "Code")


def _told(inner: Mapping[str, Any]) -> Told:
    code = _first(inner, CODES)
    statuses = map(_status, (code, inner.get("status"), inner.get("status_code")))
    return Told(
        status=next((status for status in statuses if status), None),
        code="" if code is None else _text(code),
        type=_text(inner.get("type") or inner.get("__type") or inner.get("status") or ""),
        param=_text(inner.get("param") or inner.get("loc") or ""),
        message=_text(_first(inner, MESSAGES) or ""),
    )


def _words_behind(inner: Mapping[str, Any]) -> str:
    """What the provider behind a gateway said; OpenRouter's own message only says that there was an error."""
    metadata = inner.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return _text(raw) if isinstance(raw, str | dict) and raw else ""


def _first(inner: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((inner[name] for name in names if inner.get(name)), None)


# Some gateways send such codes with every answer.
NO_FAULT = (None, "", 0, "0", 200, "200", "ok", "success", False)


def _is_error(error: Any, *, has_answer: bool) -> bool:
    """Whether the value under ``error`` tells of one; beside an answer it may say that there is none."""
    if isinstance(error, dict):
        return any(error.values()) and (not has_answer or error.get("code", "?") not in NO_FAULT[2:])
    return bool(error)


def _is_flat_error(value: Mapping[str, Any], *, certainly: bool) -> bool:
    """An error object without an ``error`` around it, such as ``{"message": …, "code": 500}``."""
    if value.get("success") is False:
        return True
    if not certainly and (value.get("errors") or isinstance(value.get("detail"), str | list)):
        return True
    if not isinstance(_first(value, MESSAGES), str):
        return False
    code = _first(value, CODES)
    is_named = "error" in str(value.get("type", "")).lower() or "__type" in value
    has_status = _status(value.get("status")) is not None or _status(code) is not None
    return is_named or has_status or (not certainly and code not in NO_FAULT)


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
    if NO_CREDIT.search(words) or 402 in (status, STATUS_OF_NUMBERS.get(told.code)):
        return errors.ProviderRateLimited(
            "This server's account at the model provider has no credit left. Tell its operator.", quota=True
        )
    is_too_long = CONTEXT_TOO_LONG.search(words) or told.code in CONTEXT_CODES
    is_too_long = is_too_long and not NO_MEMORY.search(words)
    if status == TOO_LARGE or (status in BY_LENGTH and is_too_long):
        return errors.ContextTooLong()
    if status == 403 and MODERATED.search(words):
        return errors.ProviderRefused()
    if status in (401, 403, 407) or (status == 400 and WRONG_KEY.search(words)):
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
        # AWS writes a namespace before "#", Alibaba more exact words behind ".".
        for part in (word, word.rpartition("#")[2].partition(".")[0]):
            status = STATUS_OF_WORDS.get(re.sub(r"[^a-z]", "", part.lower()))
            if status is not None:
                return status
    if number := STATUS_OF_NUMBERS.get(told.code):
        return number
    if WRONG_KEY.search(told.message):
        return 401
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
