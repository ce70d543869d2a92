"""The proxies in front of this server (``TRUSTED_PROXIES``)."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from django.conf import settings


@lru_cache(maxsize=4096)
def is_trusted(address: str) -> bool:
    """Whether the peer at this address is a proxy of ours, which brings the connections of many clients."""
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return any(peer in network for network in settings.TRUSTED_PROXIES)
