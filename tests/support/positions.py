"""Positions of one log, where a position may be one of several."""

from offerlog_application.ports.positions import LogPosition


def number_of(position: LogPosition | None) -> int:
    """The position in the one log of a store that is the only one; there must be one."""
    assert isinstance(position, int)
    return position
