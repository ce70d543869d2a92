"""The access log: one line for every request and every WebSocket that has ended."""

import logging
from typing import Any

logger = logging.getLogger("chainhub.access")

# The scope's key of a dictionary in which the application writes what only it knows: ``user``, ``run``.
NOTES = "chainhub.notes"

# Monitors request these every few seconds.
QUIET = {b"/healthz", b"/readyz"}


def log_access(*, path: bytes, notes: dict[str, Any] | None = None, **fields: Any) -> None:
    """Log ``fields`` in the order in which they are passed, without those that are None.

    ``path`` must have no query string, as that may hold private data.
    """
    if path in QUIET or not logger.isEnabledFor(logging.INFO):
        return
    # A path may contain any byte; the log gets printable characters only.
    fields = {"path": path.decode("ascii", "backslashreplace"), **fields, **(notes or {})}
    told = {name: value for name, value in fields.items() if value is not None}
    line = " ".join(f"{name}={value}" for name, value in told.items())
    logger.info("%s", line.encode("unicode_escape").decode(), extra={"access": told})
