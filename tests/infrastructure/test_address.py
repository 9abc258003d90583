"""The address of a server of one's own: errors about it say why, and never show its password."""

import traceback

import pytest

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.server_address import ServerAddressError


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("postgresql://u:hush@ho st/x", "unexpected spaces"),
        ("nonsense://u:hush@x/y", "missing '='"),
        ("host=localhost password=hush foo=bar", "invalid connection option"),
        ("postgresql://u:hu%sh@localhost/x", "invalid percent-encoded token"),
        ("postgresql://u:@hush@127.0.0.1:1/x", "write it as %40"),
        ("postgresql://u:hush@localhost:port/x", "the port is no number"),
    ],
)
def test_an_address_that_cannot_be_read_is_not_quoted(address: str, why: str) -> None:
    """Also not in a traceback, which ends up in logs."""
    with pytest.raises(ServerAddressError, match=why) as raised:
        open_offerlog(database_url=address)
    text = "".join(traceback.format_exception(raised.value))
    assert not {"hush", "hu%sh"} & set(text.replace(":", " ").replace("@", " ").split())
