"""A service over an installation of one store, for tests that look at errors alone."""

from collections.abc import Callable, Iterator

import pytest

from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation
from support.databases import Databases
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
    """Makes databases that the tests of a module share."""
    with databases.making() as make:
        yield make
