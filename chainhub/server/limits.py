"""What one client may ask of the server; the figures come from the settings."""

import logging
from dataclasses import dataclass

logger = logging.getLogger(__name__)

# Beside the connections: the database's, logs, files that are read.
OTHER_FILES = 200


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``*_s`` in seconds. ``stall_s``: how long a client with answers waiting may take nothing of them."""

    body_bytes: int
    frame_bytes: int
    connections: int
    header_s: float
    body_s: float
    idle_s: float
    stall_s: float
    drain_s: float


def allow_open_files(connections: int) -> None:
    """Raise this process' limit of open files for so many clients, each with a connection to a provider."""
    try:
        import resource
    except ImportError:
        # Only POSIX has such a limit.
        return
    needed = 2 * connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        logger.warning("%d connections need %d open files, and %d are allowed", connections, needed, hard)
        needed = hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
