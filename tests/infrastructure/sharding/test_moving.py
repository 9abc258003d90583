"""A slice that moves between shards: what was recorded of its visitors is there afterwards, and goes on."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, LiteralString

import psycopg
import pytest
from psycopg import sql

from offerlog import LegalHoldError, NoSuchVisitorError, Offerlog, ReportQuery, VisitorKey
from offerlog.testing import SettableClock
from offerlog_application.ports.erasure import HeldRow
from offerlog_application.ports.shards import ShardArgumentError, ShardError
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.postgres.shards.handover import Handover
from offerlog_infrastructure.postgres.shards.rest_changes import RestChanges
from offerlog_infrastructure.postgres.shards.slice_copy import SliceCopy
from offerlog_infrastructure.postgres.shards.slice_files import SliceFiles
from offerlog_infrastructure.postgres.shards.taken_counts import TakenSlice
from support.installations import (
    Stores,
    compare_answers,
    make_stores,
    move_slice,
    visitors_of_slice,
)
from support.journeys import DAY, an_id, blocked_event, journeys, signal
from support.keyrings import run_keyring
from support.recount import rows

_VISITORS: Final = 42
_MANY: Final = 1_000
"""Among so many visitors are some of each slice."""

_NUMBER: Final = 3
"""The slice that moves."""

_SOME: Final = (0, 3, 15)
"""The first and the last slice of each half: the tokens of the second half are negative numbers."""

_SELECT_EVENTS: Final = """
    SELECT count(*), sum(notification_id::numeric * notification_id), min(notification_id),
        max(notification_id)
    FROM offerlog_events WHERE get_byte(uuid_send(originator_id), 0) >> 4 = %s
      AND substr(originator_id::text, 2, 9) <> '0000000-0'
"""
_SELECT_MOVED: Final = """
    SELECT events, digest, first_position, last_position, slice, target FROM moved_events
"""


_PRINT_BYTES_ESCAPED: Final = """
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET bytea_output TO escape', current_database());
    END $$
"""


@pytest.fixture
def stores(make_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home with the slices 0 to 7, and a shard with the others. The databases print bytes escaped."""
    with make_stores(make_dsn, "8-f") as stores:
        for one in stores.dsns:
            _execute(one, _PRINT_BYTES_ESCAPED)
        yield stores


@pytest.fixture
def clock() -> SettableClock:
    """The clock of both services."""
    return SettableClock(DAY + timedelta(days=1))


@pytest.fixture
def services(stores: Stores, dsn: str, clock: SettableClock) -> Iterator[tuple[ShardedOfferlog, Offerlog]]:
    """The service over all of them, and one over a single store, with the same signals."""
    with (
        stores.open(clock=clock) as sharded,
        open_offerlog(database_url=dsn, clock=clock, keep_deadlines=False) as single,
    ):
        for one in (sharded, single):
            one.wait(one.record(journeys(_VISITORS)).position)
        yield sharded, single


def _execute(dsn: str, statement: LiteralString) -> None:
    with psycopg.connect(dsn, options="-c search_path=offerlog", autocommit=True) as connection:
        connection.execute(statement)


def _visitors(service: ShardedOfferlog, count: int) -> list[int]:
    """Some visitors of the slice."""
    found = visitors_of_slice(service, _NUMBER, _MANY)[:count]
    assert len(found) == count
    return [int(one.removeprefix("visitor-")) for one in found]


def _check(services: tuple[ShardedOfferlog, Offerlog], stores: Stores) -> None:
    """Compare the answers of both, and each server with its own log and with the others."""
    sharded, single = services
    for one in services:
        one.catch_up()
    compare_answers(sharded, single, _VISITORS)
    assert not any(proof.differences for proof in sharded.verify())
    with Installation(None, stores.dsns[0], run_keyring()) as installation:
        assert installation.verify() == []
        assert installation.moves() == []


def test_slices_move_and_come_back(services: tuple[ShardedOfferlog, Offerlog], stores: Stores) -> None:
    """The answers stay those of a single store, and a rebuild of each server comes to the same."""
    sharded, single = services
    # when slices have changed their places
    for number in _SOME:
        move_slice(stores, number, 1 if number < 8 else 0)
    # then
    _check(services, stores)
    assert sharded.record(journeys(_VISITORS)).outcomes == single.record(journeys(_VISITORS)).outcomes
    late = [signal("engaged", visitor=n, action=1, actionMapId=an_id("map", n % 3)) for n in range(_VISITORS)]
    assert sharded.record(late).outcomes == single.record(late).outcomes
    _check(services, stores)
    sharded.rebuild()
    _check(services, stores)
    # and when they come back
    for number in _SOME:
        move_slice(stores, number, 0 if number < 8 else 1)
    _check(services, stores)
    assert rows(stores.dsns[0], "SELECT * FROM moved_events WHERE slice < 8") == []
    sharded.rebuild()
    _check(services, stores)


def test_what_leaves_is_noted_for_the_tree(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """The number of its events, the sum of the squares of their positions, and the first and last of them."""
    for one in services:
        one.wait(one.record([signal("offered", visitor=n) for n in _visitors(services[0], 3)]).position)
    (expected,) = rows(stores.dsns[0], _SELECT_EVENTS, _NUMBER)
    move_slice(stores, _NUMBER, 1)
    noted = rows(stores.dsns[0], _SELECT_MOVED)
    assert noted == [(*expected, _NUMBER, 1)]
    assert rows(stores.dsns[0], _SELECT_EVENTS, _NUMBER)[0][0] == 0
    assert rows(stores.dsns[1], _SELECT_EVENTS, _NUMBER) == [expected]
    _check(services, stores)


def _describe(row: HeldRow) -> str:
    """A row without what two stores draw for themselves."""
    drawn = {"digest", "position", "token", "subject", "id", "originator_id", "stream", "visitor"}
    return repr(
        (row.place, sorted((name, str(value)) for name, value in row.fields.items() if name not in drawn))
    )


def test_the_newest_name_of_a_map_stays_known_where_its_event_has_left(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """Also after a rebuild."""
    sharded, _ = services
    for one in services:
        for visitor in (*_visitors(sharded, 2), 1):
            line = signal("offered", visitor=visitor, action=7, actionMapName=f"Name {visitor}")
            one.wait(one.record([line]).position)
    move_slice(stores, _NUMBER, 1)
    _check(services, stores)
    sharded.rebuild()
    _check(services, stores)


def test_erasures_holds_and_refusals_move_along(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores
) -> None:
    """Who was erased stays erased, who is held stays held, and what waits or was refused is there."""
    sharded, _ = services
    erased, held, refused, parked, other = _visitors(sharded, 5)
    lines = [
        *(signal("offered", visitor=n) for n in (erased, held, refused, other)),
        signal("accepted", visitor=parked, action=2),
        signal("offered", visitor=refused, sessionId="no id"),
        blocked_event(1, other, an_id("map"), "frequencyCap"),
    ]
    for one in services:
        one.wait(one.record([json.dumps(line) for line in lines]).position)
        one.erase(customer_id=f"visitor-{erased}")
        one.hold_visitor(customer_id=f"visitor-{held}", reason="a lawsuit")
    # when
    move_slice(stores, _NUMBER, 1)
    # then
    _check(services, stores)
    with pytest.raises(NoSuchVisitorError):
        sharded.visitor_data(customer_id=f"visitor-{erased}")
    with pytest.raises(LegalHoldError):
        sharded.erase(customer_id=f"visitor-{held}")
    for visitor in (held, refused, parked, other):
        found = [
            sorted(_describe(row) for row in one.visitor_data(customer_id=f"visitor-{visitor}"))
            for one in services
        ]
        assert found[0] == found[1]
    assert [hold.visitor.id for hold in sharded.legal_holds()] == [f"visitor-{held}"]
    # and repeats are recognised, and late signals go on
    late = [*lines, signal("offered", visitor=parked, action=2), signal("accepted", visitor=other)]
    outcomes = [one.record([json.dumps(line) for line in late]).outcomes for one in services]
    assert outcomes[0] == outcomes[1]
    for one in services:
        one.erase(customer_id=f"visitor-{other}")
    _check(services, stores)
    with pytest.raises(NoSuchVisitorError):
        sharded.visitor_data(customer_id=f"visitor-{other}")


_FAILS: Final = 4
"""The message of changes that cannot be written: that behind the second fence."""


def _note_ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note how changes are brought over: in rounds before each fence, and behind it. One message fails."""
    make, slowly, ways = RestChanges.statements, SliceCopy.copy_rest, []

    def make_some(changes: RestChanges, *arguments: Any) -> list[sql.Composable]:
        made = make(changes, *arguments)
        if changes.events:  # else it is a rehearsal
            ways.append("a message")
        return [sql.SQL("SELECT 'no number'::int")] if len(ways) == _FAILS else made

    def note_slow(copy: SliceCopy, taken: TakenSlice) -> None:
        slowly(copy, taken)
        ways.append("a round")

    monkeypatch.setattr(RestChanges, "statements", make_some)
    monkeypatch.setattr(SliceCopy, "copy_rest", note_slow)
    return ways


def test_what_comes_behind_the_counts_is_added_too(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signals, refusals and names of blocked offers, also of a new visitor, before and behind the last round.

    In the second move those behind it cannot be written as one message, and in the third one a visitor is
    erased, too: then everything is copied as a round is.
    """
    sharded, _ = services
    erased, *others = _visitors(sharded, 7)
    before = [signal("offered", visitor=visitor) for visitor in (erased, *others[::2])]
    before += [signal("rejected", visitor=visitor, sessionId="no id") for visitor in (erased, *others[::2])]
    for one in services:
        one.wait(one.record([json.dumps(line) for line in before]).position)
    approach, ways = Handover.approach, _note_ways(monkeypatch)
    coming = [(others[n], others[n + 1]) for n in (0, 2, 4)]

    def approach_between(handover: Handover) -> None:
        known, new = coming.pop()
        before = [signal("accepted", visitor=known), signal("started", visitor=known, sessionId="no id")]
        behind = [
            signal("offered", visitor=new, action=2),
            blocked_event(len(coming), new, an_id("map"), "frequencyCap"),
            signal("accepted", visitor=new, sessionId="no id"),
        ]
        for one in services:
            one.record([json.dumps(line) for line in before])
        approach(handover)
        for one in services:
            if not coming:
                one.erase(customer_id=f"visitor-{erased}")
            one.record([json.dumps(line) for line in behind])

    monkeypatch.setattr(Handover, "approach", approach_between)
    for target in (1, 0, 1):
        # when
        move_slice(stores, _NUMBER, target)
        # then
        for one in services:
            one.catch_up()
        _check(services, stores)
    assert ways == [*["a message"] * 4, "a round", "a message", "a round"]
    for other in others:
        data = [sorted(map(_describe, one.visitor_data(customer_id=f"visitor-{other}"))) for one in services]
        assert data[0] == data[1]
    refused = "SELECT count(*) FROM refusals WHERE get_byte(uuid_send(visitor_digest), 0) >> 4 = %s"
    assert rows(stores.dsns[0], refused, _NUMBER) == [(0,)]
    assert rows(stores.dsns[1], refused, _NUMBER) >= [(9,)]
    named = "SELECT count(*) FROM counted_blocks"
    assert rows(stores.dsns[1], named) >= [(3,)]
    with pytest.raises(NoSuchVisitorError):
        sharded.visitor_data(customer_id=f"visitor-{erased}")


def test_a_visitor_who_is_being_erased_keeps_the_slice_back(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the erasure is complete; then its tombstone moves along."""
    sharded, _ = services
    (visitor,) = _visitors(sharded, 1)
    for one in services:
        one.wait(one.record([signal("offered", visitor=visitor)]).position)
    of_visitor = VisitorKey("cookie", f"visitor-{visitor}")
    digest = sharded._service.digest("default", of_visitor)
    home = sharded._router.home
    home.store.erasures.begin("default", digest, home.writer.now())
    monkeypatch.setattr("offerlog_infrastructure.postgres.shards.slice_copy.STAND_STILL_SECONDS", 0.2)
    # when
    with pytest.raises(ShardError, match=r"visitors of the slice are being erased on shard 0 \(1\)"):
        move_slice(stores, _NUMBER, 1)
    # then
    assert rows(stores.dsns[0], "SELECT is_owned FROM slices WHERE slice = %s", _NUMBER) == [(True,)]
    for one in services:
        one.erase(customer_id=of_visitor.id)
    # and when erasures of others replace archived files all the time
    with monkeypatch.context() as patched:
        patched.setattr(SliceFiles, "is_current", lambda _: False)
        with pytest.raises(ShardError, match="erasures on shard 0 replace archived files of slice"):
            move_slice(stores, _NUMBER, 1)
    move_slice(stores, _NUMBER, 1)
    assert rows(stores.dsns[1], "SELECT count(*) FROM erased_visitors") == [(1,)]
    assert rows(stores.dsns[0], "SELECT count(*) FROM erased_visitors") == [(0,)]
    _check(services, stores)


def test_time_outs_of_a_moved_slice_are_recorded(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, clock: SettableClock
) -> None:
    """By the server that has it."""
    sharded, single = services
    lines = [signal("offered", visitor=n, timeoutSeconds=30) for n in _visitors(sharded, 4)]
    for one in services:
        one.wait(one.record(lines).position)
    move_slice(stores, _NUMBER, 1)
    clock.advance(sharded._router.home.writer.rules.deadline_grace * 2)
    assert sharded.expire().timedout == single.expire().timedout >= 4
    _check(services, stores)


def test_a_copy_that_differs_is_not_taken(
    services: tuple[ShardedOfferlog, Offerlog], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the table, and the slice stays where it was."""
    for one in services:
        one.wait(one.record([signal("offered", visitor=n) for n in _visitors(services[0], 3)]).position)
    copy_all = SliceCopy.copy_all

    def lose(self: SliceCopy, *args: Any) -> None:
        copy_all(self, *args)
        self._into.execute("UPDATE current_offers SET actions = actions + 1")

    monkeypatch.setattr(SliceCopy, "copy_all", lose)
    with pytest.raises(ShardError, match="differs from the slice in the table current_offers"):
        move_slice(stores, _NUMBER, 1)
    monkeypatch.undo()
    assert rows(stores.dsns[0], "SELECT is_owned FROM slices WHERE slice = %s", _NUMBER) == [(True,)]
    _check(services, stores)
    move_slice(stores, _NUMBER, 1)
    _check(services, stores)


def test_what_cannot_move_says_why(services: tuple[ShardedOfferlog, Offerlog], stores: Stores) -> None:
    """And nothing is changed."""
    sharded, _ = services
    assert move_slice(stores, _NUMBER, 0).events == 0
    with pytest.raises(ShardArgumentError, match="there is no shard 7: there are 0, 1"):
        move_slice(stores, _NUMBER, 7)
    stores.proxy.go_away()
    with pytest.raises(ShardError, match=r"^shard 1: the store cannot be reached: .*connection"):
        move_slice(stores, _NUMBER, 1)
    (of_shard_1,) = sharded._router.map.slices_of(1)[:1]
    with pytest.raises(ShardError, match=r"no shard that can be reached owns slice .*\(shard 1: the store"):
        move_slice(stores, of_shard_1, 0)
    stores.proxy.come_back()
    assert sharded.report(ReportQuery("default")).rows


def test_a_server_without_slices_still_has_counts(make_dsn: Callable[[], str]) -> None:
    """Counts of refusals belong to no slice: they stay, and add up."""
    with make_stores(make_dsn, "f") as stores, stores.open() as service:
        (visitor, *_) = visitors_of_slice(service, 15, _MANY)
        line = signal("offered", visitor=visitor.removeprefix("visitor-"), sessionId="no id")
        service.record([json.dumps(line)])
        before = service.refusal_counts().counts
        assert sum(before.values()) == 1
        # when
        move_slice(stores, 15, 0)
        # then
        assert service.refusal_counts().counts == before
        assert [one.refusals for one in service.organizations.contents()] == [1]
        assert service.servers() == {0, 1}
