"""Installations of several stores: databases of the test run's server, one shard behind a proxy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from offerlog import Offerlog, ReportQuery, open_offerlog
from offerlog_application.ports.shards import MovedSlice
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.identity import VisitorKey
from offerlog_domain.metrics import CountBy, Granularity, MetricSet
from offerlog_domain.stream_ids import slice_of
from offerlog_infrastructure.installation import Installation, parse_slices
from support.journeys import an_id
from support.keyrings import run_keyring
from support.proxy import Proxy
from support.recount import rows


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


def visitors_of_slice(service: ShardedOfferlog, number: int, visitors: int) -> list[str]:
    """The customer ids of the visitors of a slice, among the first so many of `signal(..., visitor=n)`."""
    ids = [f"visitor-{n}" for n in range(visitors)]
    keys = {one: service._service.digest(service.organization, VisitorKey("cookie", one)) for one in ids}
    return [one for one in ids if slice_of(keys[one]) == number]


def move_slice(stores: Stores, number: int, shard: int) -> MovedSlice:
    """Move a slice to a shard."""
    with Installation(None, stores.dsns[0], run_keyring()) as installation:
        return installation.move(number, shard, lambda _: None)


def owners_of(stores: Stores, number: int) -> list[int]:
    """The numbers of the shards that own a slice."""
    asked = "SELECT is_owned FROM slices WHERE slice = %s"
    return [shard for shard, address in enumerate(stores.dsns) if rows(address, asked, number) == [(True,)]]


def undo_move(stores: Stores, number: int) -> int:
    """Undo the move of a slice; returns its owner."""
    with Installation(None, stores.dsns[0], run_keyring()) as installation:
        return installation.undo_move(number)


def compare_answers(sharded: Offerlog, single: Offerlog, visitors: int) -> None:
    """Check that two services answer alike about so many visitors of `journeys`, and that all adds up."""
    keys = [VisitorKey("cookie", f"visitor-{n}") for n in range(visitors)]
    assert sharded.suppressions_of(keys) == single.suppressions_of(keys)
    for n in range(0, visitors, visitors // 20 + 1):
        of_visitor: dict[str, Any] = {"customer_id": f"visitor-{n}"}
        of_offer = {**of_visitor, "action_map_id": an_id("map", n % 3)}
        assert sharded.history(**of_offer) == single.history(**of_offer)
        assert len(list(sharded.timeline(**of_visitor))) == len(list(single.timeline(**of_visitor)))
    for query in (
        ReportQuery("default"),
        ReportQuery("default", by=Granularity.HOUR, view=MetricSet.FULL),
        ReportQuery("default", by=Granularity.DAY, count_by=CountBy.VISITORS),
    ):
        assert sharded.report(query) == single.report(query)
    assert list(sharded.action_maps()) == list(single.action_maps())
    assert sharded.refusal_counts().counts == single.refusal_counts().counts
    assert sharded.organizations.contents() == single.organizations.contents()
    assert sorted(one.raw for one in sharded.parked()) == sorted(one.raw for one in single.parked())
    for n in range(3):
        listed = [
            sorted(one.suppressed_visitors(an_id("map", n)), key=lambda row: row.customer_id)
            for one in (sharded, single)
        ]
        assert listed[0] == listed[1]
