"""Action maps by their names: what is proposed for a name that is not known."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from offerlog_application.ports.read_side import PerformanceSource
from offerlog_application.reading.map_names import UnknownActionMapError, find_action_maps
from support.journeys import an_id

HELP = "Checkout help"


class Names:
    """Maps of an organization, of which none has the name that is asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names_ = names

    def maps_named(self, organization: str, name: str) -> Sequence[str]:
        """Return none."""
        del organization, name
        return []

    def action_maps(self, organization: str) -> Iterator[tuple[str, str | None]]:
        """Yield each map with its name."""
        yield from ((an_id(organization, n), name) for n, name in enumerate(self.names_))


def test_a_name_is_proposed_in_little_time_however_long_and_alike_the_names_are() -> None:
    """Names come from pages, and a comparison takes the square of their length."""
    # given
    hostile = [f"{pow(3, n, 1 << 199):0199b}" for n in range(1_000)]
    some, others = (cast("PerformanceSource", Names(names)) for names in (hostile[1:], [*hostile[:99], HELP]))
    began = time.thread_time()
    # when
    with pytest.raises(UnknownActionMapError, match=r"is neither the id nor the name of an action map$"):
        find_action_maps(some, "shop", hostile[:1])
    with pytest.raises(UnknownActionMapError, match=f"did you mean '{HELP}'"):
        find_action_maps(others, "shop", ["checkout hlp"])
    # then
    assert time.thread_time() - began < 1
