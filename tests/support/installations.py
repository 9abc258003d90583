"""Installations of several stores: databases of the test run's server, one shard behind a proxy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog import Offerlog, open_offerlog
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.identity import VisitorKey
from offerlog_domain.stream_ids import slice_of
from offerlog_infrastructure.installation import Installation, parse_slices
from support.keyrings import run_keyring
from support.proxy import Proxy


def without_password(dsn: str) -> str:
    """The address as a home keeps it."""
    parts = conninfo_to_dict(dsn)
    return make_conninfo(**{name: str(parts[name]) for name in parts if name != "password"})


@dataclass(frozen=True)
class Stores:
    """The stores of an installation.

    Attributes:
        dsns: The addresses of the databases, by number of the shard.
        proxy: Stands before shard 1.
    """

    dsns: list[str]
    proxy: Proxy

    @contextmanager
    def open(self, **more: Any) -> Iterator[ShardedOfferlog]:
        """Open the service over all of them."""
        with open_offerlog(database_url=self.dsns[0], **({"keep_deadlines": False} | more)) as service:
            assert isinstance(service, ShardedOfferlog)
            yield service


@contextmanager
def make_stores(make_dsn: Callable[[], str], *divisions: str) -> Iterator[Stores]:
    """Make a home, and a shard for each of these divisions of the slices; the first one is behind a proxy."""
    home = make_dsn()
    dsns = [home]
    with Installation(None, home, run_keyring()) as installation:
        installation.begin()
    with Proxy(make_dsn()) as proxy:
        for number, slices in enumerate(divisions, 1):
            dsns.append(proxy.dsn if number == 1 else make_dsn())
            with Installation(None, home, run_keyring()) as installation:
                assert installation.add(without_password(dsns[-1]), parse_slices(slices)) == number
        yield Stores(dsns, proxy)


def shard_of(service: Offerlog, visitor: object) -> int:
    """The number of the shard of `signal(..., visitor=visitor)`."""
    assert isinstance(service, ShardedOfferlog)
    digest = service._service.digest(service.organization, VisitorKey("cookie", f"visitor-{visitor}"))
    return service._router.map.shards[slice_of(digest)]
