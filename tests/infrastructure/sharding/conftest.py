"""Services over installations: of one store, for tests that look at errors alone, and of three stores."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from offerlog import Offerlog
from offerlog.testing import SettableClock
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation
from support.databases import Databases
from support.installations import Stores, make_stores
from support.journeys import DAY
from support.keyrings import run_keyring


@pytest.fixture(scope="module")
def home_service(module_dsn: str) -> Iterator[ShardedOfferlog]:
    """The service over a home without any other shard."""
    with Installation(None, module_dsn, run_keyring()) as installation:
        installation.begin()
    with open_offerlog(database_url=module_dsn, keep_deadlines=False) as service:
        assert isinstance(service, ShardedOfferlog)
        yield service


@pytest.fixture(scope="module")
def make_module_dsn(databases: Databases) -> Iterator[Callable[[], str]]:
    """Return a function that makes a database; the tests of a module share them."""
    with databases.making() as make:
        yield make


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 5, a shard with 6 to a, and another one with b to f."""
    with make_stores(make_dsn, "6-a", "b-f") as stores:
        yield stores


@pytest.fixture
def services(stores: Stores, dsn: str) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over the three stores, and one over a single store, with the same clock."""
    clock = SettableClock(DAY + timedelta(days=1))
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False) as single,
    ):
        yield sharded, single
