"""Logging that names the request and never writes a credential."""

import logging
import re
from contextvars import ContextVar

# Of the request or the WebSocket that is being answered; what it starts has a copy.
request_id = ContextVar("request_id", default="")

SECRETS = re.compile(
    r"(?P<name>authorization|cookie|x-api-key)(?P<sep>['\"]?\s*[:=]\s*)(?P<value>[^\r\n,}]+)"
    r"|\b(?:sk|chk)[-_][A-Za-z0-9_-]{8,}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """``text`` with header values of credentials and anything shaped like a key blacked out."""
    return SECRETS.sub(lambda m: f"{m['name']}{m['sep']}[redacted]" if m["name"] else "[redacted]", text)


class RedactSecrets(logging.Filter):
    """Format the record here, traceback included, and redact the result."""

    formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except Exception:
            # A wrong call of the log must not fail its caller, nor be printed as it is.
            text = f"{record.msg} {record.args}"
        record.msg, record.args = redact(text), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


class AddRequestId(logging.Filter):
    """``request_id`` for the format of a line; "-" where no request is being answered."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get() or "-"
        return True
