"""One line in the log for every request and every socket that has ended."""

import logging
from typing import Any

logger = logging.getLogger("chainhub.access")

# The scope's dictionary in which the application notes what only it knows: ``user``, ``run``.
NOTES = "chainhub.notes"

# Asked every few seconds by what watches the process.
QUIET = {b"/healthz", b"/readyz"}


def log_access(*, path: bytes, notes: dict[str, Any] | None = None, **fields: Any) -> None:
    """``fields`` in the order they are given, without those that are None; never a query string."""
    if path in QUIET or not logger.isEnabledFor(logging.INFO):
        return
    # A path may hold any byte; the log gets printable ones.
    fields = {"path": path.decode("ascii", "backslashreplace"), **fields, **(notes or {})}
    told = {name: value for name, value in fields.items() if value is not None}
    line = " ".join(f"{name}={value}" for name, value in told.items())
    logger.info("%s", line.encode("unicode_escape").decode(), extra={"access": told})
