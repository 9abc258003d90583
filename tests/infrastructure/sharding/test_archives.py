"""Each shard has an archive of its own visitors, and everything is answered as where there is none."""

import contextlib
from collections import Counter
from datetime import timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import pytest

from offerlog import Offerlog, OfferlogError, VisitorKey
from offerlog.testing import SettableClock
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.stream_ids import slice_of
from offerlog_infrastructure.archive.places import place_of_server
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.replaying.on_dask import replay_on_dask
from support.installations import (
    Stores,
    compare_answers,
    move_slice,
    owners_of,
    shard_of,
)
from support.journeys import DAY, an_id, journeys, signal
from support.keyrings import run_keyring
from support.moved_slices import settle
from support.recount import rows
from support.replays import replay_in_this_process
from support.shard_archives import check_logs, check_places, events_of

pytest.importorskip("pyarrow")

_VISITORS: Final = 56
_LATER: Final = DAY + timedelta(days=200)

_PARTS: Final = """
    SELECT DISTINCT array_agg(f.first_position >> 40 ORDER BY s.last_version)
    FROM settled s JOIN archived_files f ON f.number = s.file WHERE f.slice = %s GROUP BY s.originator_id
"""
"""The logs of the archived parts of the streams of a slice."""

_HOT: Final = """
    SELECT count(*) FROM visitors v JOIN offerlog_events e ON e.originator_id = stream_id(v.token, %s)
    WHERE v.digest = %s
"""


def _late() -> list[Any]:
    """Repeats, states that are not allowed any more, and new offers, of visitors with archived events."""
    at = _LATER.isoformat()
    return [
        signal(state, visitor=n, action=action, actionMapId=an_id("map", n % 3), createdDate=at)
        for n in range(0, _VISITORS, 5)
        for action, state in ((1, "offered"), (1, "accepted"), (9, "offered"), (9, "rejected"))
    ]


def _later() -> list[Any]:
    """Repeats for each visitor, and new actions of some."""
    asked = [(n, 1, "offered") for n in range(_VISITORS)]
    asked += [(n, 8, state) for n in range(0, _VISITORS, 7) for state in ("offered", "accepted")]
    return [
        signal(state, visitor=n, action=action, actionMapId=an_id("map", n % 3)) for n, action, state in asked
    ]


def _move_on(stores: Stores, service: ShardedOfferlog) -> None:
    """Move slices of archived visitors: to the next server, and around."""
    for n, hops in ((9, 1), (0, 3)):
        number = slice_of(service._service.digest("default", VisitorKey("cookie", f"visitor-{n}")))
        (owner,) = owners_of(stores, number)
        for hop in range(1, hops + 1):
            move_slice(stores, number, (owner + hop) % 3)


def _slice_of_shard(service: ShardedOfferlog, shard: int) -> int:
    """Return a slice of a shard that has a visitor."""
    visitor = next(n for n in range(_VISITORS) if shard_of(service, n) == shard)
    return slice_of(service._service.digest("default", VisitorKey("cookie", f"visitor-{visitor}")))


def _visitors_of(service: ShardedOfferlog, number: int) -> list[int]:
    """Return three further visitors of a slice, who made no journey."""

    def is_of_slice(n: int) -> bool:
        return slice_of(service._service.digest("default", VisitorKey("cookie", f"visitor-{n}"))) == number

    return list(islice(filter(is_of_slice, count(1_000)), 3))


def _over(visitors: list[int], action: int) -> list[Any]:
    """An action of each visitor that is over."""
    return [
        signal(state, visitor=n, action=action, actionMapId=an_id("map", n % 3))
        for n in visitors
        for state in ("offered", "errored")
    ]


def _count_hot(address: str, service: ShardedOfferlog, visitor: int) -> int:
    """Count the events of a visitor in the table of a server."""
    digest = service._service.digest("default", VisitorKey("cookie", f"visitor-{visitor}"))
    ((count,),) = rows(address, _HOT, an_id("map", visitor % 3), digest)
    return int(count)


def _move_about(
    stores: Stores, sharded: ShardedOfferlog, single: Offerlog, clock: SettableClock
) -> tuple[int, list[int], list[int]]:
    """Record on several servers what a slice brings along; returns it, visitors of it, and of another one.

    Of the other slice, the first visitor has old and young events, the others old ones alone.
    """
    services = sharded, single
    settle(sharded)
    moving, younger = _slice_of_shard(sharded, 2), _slice_of_shard(sharded, 1)
    mixed, young = (_visitors_of(sharded, one) for one in (moving, younger))
    for one in services:
        one.wait(one.record(_over([*mixed, *young], 1)).position)
    for owner in (0, 2):
        move_slice(stores, moving, owner)
        for one in services:
            one.wait(one.record(_over(mixed, 20 + owner)).position)
    move_slice(stores, moving, 0)
    clock.set(_LATER)
    newest = [signal("offered", visitor=f"new {n}", createdDate=_LATER.isoformat()) for n in range(9)]
    for one in services:
        one.wait(one.record([*_over(young[:1], 30), *newest]).position)
    move_slice(stores, younger, 0)
    return moving, mixed, young


def _archive(service: ShardedOfferlog, folder: Path) -> list[int]:
    """Archive what is older than 90 days on each shard; returns the numbers of events."""
    settle(service)
    moved = []
    for number, one in service.services_of_servers().items():
        assert isinstance(one, Offerlog)
        assert one.archiver is not None
        place = place_of_server(str(folder), number)
        moved.append(one.archiver.move(timedelta(days=90), place, lambda _: None).events)
        one.archiver.shrink(lambda _: None)
    return moved


def _feed(service: Offerlog) -> list[tuple[object, ...]]:
    """All events of the feed, whatever the order of shards."""
    found, after = [], 0
    while True:
        page = service.feed.page(after, limit=50, identified=True)
        found += [(one.name, one.version, one.identity) for one in page.events]
        if page.is_end:
            return sorted(found, key=repr)
        after = page.position  # type: ignore[assignment] # a vector, which the next call takes


def _count_kinds(service: Offerlog) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in service.stored_kinds():
        counts[one.topic.partition("@")[0]] += one.events
    return counts


def _compare(sharded: ShardedOfferlog, single: Offerlog, others: list[int]) -> None:
    compare_answers(sharded, single, _VISITORS)
    of_both = [one.analysis.recent_visitors(limit=100).visitors for one in (sharded, single)]
    assert {one.customer_id for one in of_both[0]} == {one.customer_id for one in of_both[1]}
    assert _count_kinds(sharded) == _count_kinds(single)
    for n in (*range(_VISITORS), *others):
        of_visitor: dict[str, Any] = {"customer_id": f"visitor-{n}"}
        of_offer = {**of_visitor, "action_map_id": an_id("map", n % 3)}
        assert sharded.history(**of_offer) == single.history(**of_offer)
        assert sharded.check_eligibility(**of_offer) == single.check_eligibility(**of_offer)


def test_archives_change_no_answer(
    stores: Stores, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With foreign events beside them, late signals behind them, and an erasure in them."""
    replay_in_this_process(monkeypatch)
    clock = SettableClock(DAY + timedelta(days=1))
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False) as single,
    ):
        services = sharded, single
        for one in services:
            one.wait(one.record([*journeys(_VISITORS), b"no signal"]).position)
        moving, mixed, young = _move_about(stores, sharded, single, clock)
        settle(sharded)
        before = events_of(stores, tmp_path / "archive")
        # when
        moved = _archive(sharded, tmp_path / "archive")
        # then each has an archive, also of foreign events, with a file for each log, but of young ones
        assert all(moved)
        check_logs(stores, tmp_path / "archive")
        assert ([2, 0, 2],) in rows(stores.dsns[0], _PARTS, moving)
        assert [_count_hot(stores.dsns[0], sharded, one) > 0 for one in (mixed[0], *young[:2])] == [
            False,
            True,
            False,
        ]
        assert events_of(stores, tmp_path / "archive") == before
        _compare(sharded, single, [*mixed, *young])
        # and with late signals
        answers = [one.record(_late()) for one in services]
        assert answers[0].outcomes == answers[1].outcomes
        for one, answer in zip(services, answers, strict=True):
            one.wait(answer.position)
            for n in (0, 1, 5, 7, mixed[0]):
                with contextlib.suppress(OfferlogError):
                    one.erase(customer_id=f"visitor-{n}")
        _compare(sharded, single, [*mixed, *young])
        assert _feed(sharded) == _feed(single)
        # and when slices have moved with their files, on to the third server, and back
        _move_on(stores, sharded)
        move_slice(stores, moving, 1)
        check_places(stores, tmp_path / "archive")
        _compare(sharded, single, [*mixed, *young])
        assert _feed(sharded) == _feed(single)
        answers = [one.record(_later()) for one in services]
        assert answers[0].outcomes == answers[1].outcomes
        for one in services:
            for n in (2, 9):
                one.erase(customer_id=f"visitor-{n}")
        _compare(sharded, single, [*mixed, *young])
        # and whoever reads all of it again comes to the same
        sharded.rebuild("performance")
        assert [one.projection for one in sharded.verify() if one.differences] == []
        assert sharded.slices is not None
        assert replay_on_dask(sharded.slices, tmp_path / "replay", None, lambda _: None).is_equal
        settle(sharded)
        with Installation(None, stores.dsns[0], run_keyring()) as installation:
            assert installation.verify() == []
            reports = installation.audit(tmp_path / "audit.key", None)
        assert {number: one.findings for number, one in reports.items()} == {0: [], 1: [], 2: []}
        # and the next run goes on
        _archive(sharded, tmp_path / "archive")
        check_places(stores, tmp_path / "archive")
        _compare(sharded, single, [*mixed, *young])
