"""The setting that lists trusted proxies."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator


def check_proxies(value: str) -> str:
    """Refuse what is neither an address nor a network: it would be trusted never, and silently.

    Raises:
        ValueError: A part is neither, or `*` is not alone.
    """
    named = [one for one in (part.strip() for part in value.split(",")) if one]
    if "*" in named and len(named) > 1:
        raise ValueError("give * alone, for every peer, or addresses and networks")
    for one in named:
        if one != "*":
            ip_network(one)
    return value


ProxyList = Annotated[str, AfterValidator(check_proxies)]
"""Addresses and networks, separated by commas; `*` for every peer."""
