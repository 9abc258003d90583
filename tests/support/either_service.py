"""A service over either store, in memory or on PostgreSQL: both must answer alike."""

from collections.abc import Callable

from offerlog import Offerlog, open_offerlog
from offerlog.testing import SettableClock, open_in_memory

EITHER_STORE = ["in memory", "on PostgreSQL"]
"""The names of the stores, for the parameters of a fixture."""


def open_either(
    store: str, make_dsn: Callable[[], str], clock: SettableClock, *, webhook_networks: str | None = None
) -> Offerlog:
    """Open an empty service over the store of that name."""
    if store == "in memory":
        return open_in_memory("default", clock=clock, webhook_networks=webhook_networks)
    return open_offerlog(
        database_url=make_dsn(),
        organization="default",
        clock=clock,
        keep_deadlines=False,
        webhook_networks=webhook_networks,
    )
