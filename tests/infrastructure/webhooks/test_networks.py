"""The addresses to which webhooks may be sent."""

from ipaddress import ip_address

import pytest

from offerlog_infrastructure.webhooks.networks import (
    AddressRefusedError,
    check_address,
    is_public,
    read_networks,
    resolve,
)

PUBLIC = ["8.8.8.8", "100.63.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111"]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - an address that is refused
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a00:1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_unless_its_network_is_allowed(text: str) -> None:
    """Also those of IPv6 that embed an address of IPv4, public or not."""
    address = ip_address(text)
    assert not is_public(address)
    with pytest.raises(AddressRefusedError, match="allow its network in OFFERLOG_WEBHOOK_NETWORKS"):
        check_address(address, read_networks("10.99.0.0/16"), is_secure=True)
    check_address(address, read_networks(f"10.99.0.0/16, {text}"), is_secure=False)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_needs_https(text: str) -> None:
    """Unless the operator has named its network."""
    check_address(ip_address(text), (), is_secure=True)
    with pytest.raises(AddressRefusedError, match="https is needed"):
        check_address(ip_address(text), (), is_secure=False)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0"])
def test_the_many_names_of_this_machine_lead_to_the_same_refusal(host: str) -> None:
    """What counts is the address to which the system would connect."""
    with pytest.raises(AddressRefusedError):
        resolve(host, 443, (), is_secure=True)
