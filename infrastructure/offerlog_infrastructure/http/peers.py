"""Peer addresses: the address that a request comes from, and the proxies that forward others' requests."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import HTTPConnection

_LONGEST_ADDRESS: Final = 64
"""Characters after which a text cannot be an address."""

_IPV6_SITE: Final = 64
"""Bits of an IPv6 address that name a site; one site has 2**64 addresses."""

UNKNOWN_PEER: Final = "unknown"
"""The peer of all requests whose address cannot be read."""


class TrustedProxies:
    """Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.

    Args:
        text: Addresses and networks, separated by commas; `*` for every peer.

    Raises:
        ValueError: A part is neither an address nor a network.
    """

    def __init__(self, text: str) -> None:
        parts = [one.strip() for one in text.split(",") if one.strip()]
        self._all = "*" in parts
        self._networks = [ip_network(one) for one in parts if one != "*"]

    def __contains__(self, host: str) -> bool:
        if self._all:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def peer_of(connection: HTTPConnection) -> str:
    """Return the peer address of a request: an IPv4 address whole, an IPv6 address by its site (/64).

    Behind a trusted proxy (`OFFERLOG_TRUSTED_PROXIES`) it is the address that the proxy has forwarded.
    """
    return peer_of_address(connection.client.host) if connection.client else UNKNOWN_PEER


def peer_of_address(host: str) -> str:
    """Return the peer of an address: an IPv4 address whole, an IPv6 address by its site (/64)."""
    return _peer(host[: _LONGEST_ADDRESS + 1])


@lru_cache(maxsize=4_096)
def _peer(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return UNKNOWN_PEER
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), _IPV6_SITE), strict=False))
