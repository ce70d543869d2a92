"""Log filters: they add the request id to each line and remove credentials."""

import logging
import re
from contextvars import ContextVar

# The id of the current request or WebSocket. Tasks that it starts inherit a copy.
request_id = ContextVar("request_id", default="")

SECRETS = re.compile(
    r"(?P<name>authorization|cookie|x-api-key)(?P<sep>['\"]?\s*[:=]\s*)(?P<value>[^\r\n,}]+)"
    r"|\b(?:sk|chk)[-_][A-Za-z0-9_-]{8,}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return ``text`` with "[redacted]" in place of credential headers' values and of anything like a key."""
    return SECRETS.sub(lambda m: f"{m['name']}{m['sep']}[redacted]" if m["name"] else "[redacted]", text)


class RedactSecrets(logging.Filter):
    """Formats the record, including its traceback, and redacts the result."""

    formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except Exception:
            # The arguments do not fit the format string. The caller must not fail because of that, and
            # logging must not print the unredacted arguments in an error of its own.
            text = f"{record.msg} {record.args}"
        record.msg, record.args = redact(text), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


class AddRequestId(logging.Filter):
    """Adds ``request_id`` to the record, for the line format; "-" outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get() or "-"
        return True
