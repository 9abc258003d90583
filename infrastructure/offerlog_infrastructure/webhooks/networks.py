"""The addresses to which webhooks may be sent: public ones, and networks that the operator allows.

Whoever may make a webhook chooses its address. Without this check the service would send requests into the
networks that it stands in, to cloud metadata, and to itself (server-side request forgery).
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator

from offerlog_domain.errors import OfferlogError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; cloud metadata of some
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocols, among them Teredo, which embeds IPv4 addresses
        "2001:db8::/32",
        "2002::/16",  # 6to4, which embeds IPv4 addresses
        "3fff::/20",
    )
)
"""Networks that the IANA registries of special-purpose addresses (RFC 6890) take out of the public ones."""

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""Of IPv6, all others are not public: loopback, link-local, multicast, IPv4-mapped, NAT64."""


class AddressRefusedError(OfferlogError):
    """A name leads to an address to which nothing may be sent, or to none."""


def read_networks(text: str | None) -> tuple[Network, ...]:
    """Read networks and addresses that are separated by commas.

    Raises:
        ValueError: A part is neither.
    """
    return tuple(ip_network(part.strip()) for part in (text or "").split(",") if part.strip())


def _check_networks(text: str) -> str:
    read_networks(text)
    return text


NetworkList = Annotated[str, AfterValidator(_check_networks)]
"""A setting with networks and addresses, separated by commas."""


def is_public(address: Address) -> bool:
    """Return True for an address of the internet at large."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not _is_in(address, _NOT_PUBLIC)


def resolve(host: str, port: int, allowed: Sequence[Network], *, is_secure: bool) -> Sequence[Address]:
    """Look a host up, and return its addresses if webhooks may be sent to every one of them.

    Args:
        host: A name or an address, without brackets.
        port: The port.
        allowed: The networks that need not be public. Only there, a connection need not be secure.
        is_secure: True for https.

    Raises:
        AddressRefusedError: The name has no address, or one to which nothing may be sent.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ip_address(str(one[4][0])) for one in found))
    except (OSError, ValueError) as error:  # a scope of a link-local address is a ValueError
        raise AddressRefusedError(f"the host {host!r} cannot be looked up: {error}") from None
    for address in addresses:
        check_address(address, allowed, is_secure=is_secure)
    return addresses


def check_address(address: Address, allowed: Sequence[Network], *, is_secure: bool) -> None:
    """Check that webhooks may be sent to an address.

    Raises:
        AddressRefusedError: They may not.
    """
    if _is_in(address, allowed):
        return
    if not is_public(address):
        raise AddressRefusedError(
            f"{address} is not a public address: allow its network in OFFERLOG_WEBHOOK_NETWORKS if webhooks"
            " shall go there"
        )
    if not is_secure:
        raise AddressRefusedError(f"https is needed to send to {address}")


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(one.version == address.version and address in one for one in networks)
