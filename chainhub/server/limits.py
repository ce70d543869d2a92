"""What one client may ask of the server; the figures come from the settings."""

from dataclasses import dataclass


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
