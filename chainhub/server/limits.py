"""The server's limits; their values come from the settings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

# Open files beside the client and provider connections: database connections, logs, files that are read.
OTHER_FILES = 200


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one server process: sizes in bytes, ``*_s`` in seconds, ``connections`` at once.

    ``connections_of_address`` limits those of one address, 0 means no limit. It does not hold for proxies,
    which ``trusts`` knows by their addresses.

    A client that reads nothing for ``stall_s`` while data waits for it is disconnected. ``drain_s`` is how
    long requests and runs may still take when the process stops.
    """

    body_bytes: int
    frame_bytes: int
    connections: int
    header_s: float
    body_s: float
    idle_s: float
    stall_s: float
    drain_s: float
    connections_of_address: int = 0
    trusts: Callable[[str], bool] = lambda address: True


def allow_open_files(connections: int) -> None:
    """Raise the process' limit of open files to fit ``connections``, each with one to a provider as well."""
    try:
        import resource
    except ImportError:
        # Only POSIX systems have this limit.
        return
    needed = 2 * connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        logger.warning("%d connections need %d open files, and %d are allowed", connections, needed, hard)
        needed = hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
