"""Reports over several servers as they were: issued, replayed, explained, exported, before and after moves.

A store that has recorded the same is the measure.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from offerlog import (
    Granularity,
    MetricSet,
    Offerlog,
    ReportQuery,
    ShardUnavailableError,
    SliceInMotionError,
    State,
    open_offerlog,
)
from offerlog.testing import SettableClock
from offerlog_application.evidence.bundle_parts import BundleRequest
from offerlog_application.ports.positions import LogPosition, PositionVector, by_shard, split_position
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_application.reading import exports
from offerlog_application.reading.canonical_reports import report_text
from offerlog_application.reading.exports import ExportRequest
from offerlog_application.reading.issued_reports import IssuedReport
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.errors import ArgumentError
from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.evidence import verify_bundle as alone
from offerlog_infrastructure.evidence.audit_key import make_audit_key
from offerlog_infrastructure.evidence.bundle_papers import write_bundle
from offerlog_infrastructure.installation import Installation
from offerlog_infrastructure.shard_places import place_of_shard
from support.installations import Stores, move_slice, without_password
from support.joined_bundles import key_options
from support.journeys import DAY, an_id, journeys, signal
from support.keyrings import run_keyring
from support.moved_slices import visitors_of
from support.proxy import Proxy
from support.recount import rows
from support.shard_archives import archive_servers, archive_store, check_places

_VISITORS: Final = 40
_QUERY: Final = ReportQuery("default", by=Granularity.HOUR, view=MetricSet.FULL)
_OF_MAP: Final = replace(_QUERY, action_maps=(an_id("late", 1),))


class _Times(NamedTuple):
    """An installation with a history, and a store with the same one.

    Attributes:
        stores: The stores of the installation.
        sharded: The service over them.
        single: The other one.
        issued: The report that both have issued, before there was a second server, and behind it.
        moment: The time of the last one.
        key: The key that signs the log of the home, beside those of the others.
    """

    stores: Stores
    sharded: ShardedOfferlog
    single: Offerlog
    issued: list[tuple[IssuedReport, IssuedReport]]
    moment: datetime
    key: Path


def _choose(visitors: Iterator[int]) -> list[int]:
    """Choose four of some visitors: two whose late actions are over, and so go into files, and two others."""
    found: tuple[list[int], list[int]] = [], []
    for n in visitors:
        found[n // 2 % 2].append(n)
        if min(map(len, found)) >= 2:
            return [*found[0][:2], *found[1][:2]]
    raise AssertionError


def _late(visitors: Sequence[int], action: int, at: datetime) -> Sequence[bytes]:
    """One more offer to each visitor. Half of them are accepted and stay open; the others are over."""
    more: dict[str, Any] = {"action": action, "createdDate": at.isoformat()}
    lines = []
    for n in visitors:
        named = {**more, "visitor": n, "actionMapId": an_id("late", n % 2)}
        lines += [signal(state, **named) for state in ("offered", "accepted")[: 1 + n // 2 % 2]]
        lines.append(signal("errored", **named))
    return [json.dumps(one).encode() for one in lines]


def _issue(sharded: Offerlog, single: Offerlog) -> tuple[IssuedReport, IssuedReport]:
    for one in (sharded, single):
        one.catch_up()
    return (
        sharded.issued_reports.issue(_QUERY, "an analyst")[1],
        single.issued_reports.issue(_QUERY, "an analyst")[1],
    )


@pytest.fixture(scope="module")
def times(make_module_dsn: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Times]:
    """Reports of one server and of three; slices go to the others, go on from there, and come back.

    They take their files along: each server of the installation archives what is cold.
    """
    archive = tmp_path_factory.mktemp("archive")
    clock, home, other = SettableClock(DAY + timedelta(days=1)), make_module_dsn(), make_module_dsn()
    key = tmp_path_factory.mktemp("keys") / "audit.key"
    for number in range(3):
        make_audit_key(place_of_shard(key, number), f"shop/{number}", SignatureType.ED25519, None)
    more: dict[str, Any] = {"keep_deadlines": False, "clock": clock, "audit_key": key}
    with (
        Proxy(make_module_dsn()) as proxy,
        open_offerlog(database_url=other, **more) as single,
    ):
        # given a store, and a report that it has issued
        with open_offerlog(database_url=home, **more) as first:
            known = [n for slice_ in (1, 9, 12) for n in _choose(visitors_of(first, slice_))]
            visitors = [*range(_VISITORS), *known]
            for one in (first, single):
                one.record([*journeys(_VISITORS), *_late(known, 9, DAY)])
            issued = [_issue(first, single)]
            assert archive_store(first, str(archive))
        # when it becomes one of three
        stores = Stores([home, proxy.dsn, make_module_dsn()], proxy)
        with Installation(None, home, run_keyring()) as installation:
            installation.begin()
        for dsn in stores.dsns[1:]:
            with Installation(None, home, run_keyring()) as installation:
                installation.add(without_password(dsn), ())
        with stores.open(**more) as sharded:
            for slice_, shard in ((1, 1), (9, 2), (12, 1)):
                move_slice(stores, slice_, shard)
            # and more is recorded, issued, and moved
            clock.advance(timedelta(hours=1))
            for one in (sharded, single):
                one.record(_late(visitors, 10, clock.now()))
            issued.append(_issue(sharded, single))
            moment = clock.now()
            clock.advance(timedelta(hours=1))
            for one in (sharded, single):
                one.record(_late(visitors, 11, clock.now()))
            archive_servers(sharded, archive)
            for slice_, shard in ((1, 2), (9, 0)):
                move_slice(stores, slice_, shard)
            check_places(stores, archive)
            foreign = (
                "SELECT DISTINCT first_position >> 40, slice FROM archived_files WHERE slice IN (1, 9, 12)"
            )
            lies = [set(rows(address, foreign)) for address in stores.dsns]
            assert lies == [{(0, 9), (2, 9)}, {(0, 12), (1, 12)}, {(0, 1), (1, 1)}]
            for one in (sharded, single):
                one.record(_late(visitors, 12, clock.now()))
                one.catch_up()
            yield _Times(stores, sharded, single, issued, moment, key)


def test_issued_reports_are_replayed_number_by_number(times: _Times) -> None:
    """Whichever servers have the slices by now: one server has issued the first, and three the other one."""
    sharded = times.sharded.issued_reports
    assert [len(split_position(one.as_of_position)) for one, _ in times.issued] == [1, 3]
    for of_all, of_one in times.issued:
        assert of_all.digest == of_one.digest
        # when
        replayed = sharded.replay("default", of_all.as_of_position)
        # then
        assert [(one.issued, one.is_equal) for one in replayed.reports] == [(of_all, True)]
        assert [one.projection for one in replayed.proofs] == ["current_state", "performance", "suppression"]
        assert len({(one.events, one.digest) for one in replayed.proofs}) == 1
    assert list(sharded.all("default")) == [one for one, _ in times.issued]


def _read_actions(service: Offerlog, as_of: LogPosition | None) -> Counter[Any]:
    made = service.exports.actions(ExportRequest(as_of=as_of, is_identified=True))
    of_store = {"position", "last_position", "subject", "visitor", "recorded_at"}
    places = [n for n, column in enumerate(made.columns) if column.name not in of_store]
    return Counter(tuple(str(row[n]) for n in places) for batch in made.batches for row in batch.rows)


def test_exports_as_of_an_earlier_position_are_those_of_one_store(times: _Times) -> None:
    """Of the report, and of actions."""
    totals = []
    for of_all, of_one in times.issued:
        found = _read_actions(times.sharded, of_all.as_of_position)
        assert found == _read_actions(times.single, of_one.as_of_position)
        totals.append(found.total())
    assert 0 < totals[0] < totals[1] < _read_actions(times.sharded, None).total()
    # when
    made, position = times.sharded.exports.report_as_of(_QUERY, of_all.as_of_position)
    # then
    assert (sha256(report_text(made)).digest(), position) == (of_one.digest, of_all.as_of_position)


def test_an_export_of_actions_follows_a_slice_that_moves_meanwhile(
    times: _Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are read on the server that has them by then."""
    monkeypatch.setattr(exports, "_STREAM_EVENTS", 10)
    # given
    batches = times.sharded.exports.actions(ExportRequest()).batches
    found = len(next(batches).rows)
    # when
    move_slice(times.stores, 9, 2)
    found += sum(len(batch.rows) for batch in batches)
    # then
    assert found == _read_actions(times.single, None).total()


def _explain(service: Offerlog, as_of: LogPosition | None) -> Counter[Any]:
    found = service.issued_reports.explain(_OF_MAP, State.ACCEPTED, as_of)
    with closing(found.events) as events:
        listed = list(events)
    assert [one.position for one in listed] == sorted({one.position for one in listed})
    assert found.count in {None, len(listed)}
    return Counter((one.version, one.occurred_at, one.recorded_at) for one in listed)


def test_numbers_are_explained_by_the_events_of_all_servers(times: _Times) -> None:
    """Now, as of each report, and as of a time."""
    now = _explain(times.sharded, None)
    assert now == _explain(times.single, None)
    found = [
        [_explain(*one) for one in zip((times.sharded, times.single), places, strict=True)]
        for places in ((one.as_of_position, other.as_of_position) for one, other in times.issued)
    ]
    assert [of_all == of_one for of_all, of_one in found] == [True, True]
    assert found[0][0].total() < found[1][0].total() < now.total()
    position = times.sharded.issued_reports._replays.position_at(times.moment)
    assert _explain(times.sharded, position) == found[1][0]
    assert by_shard(position)[1] == by_shard(times.issued[1][0].as_of_position)[1]


def test_a_position_that_is_not_one_of_all_servers_at_one_moment_is_refused(times: _Times) -> None:
    """Nothing is left out without a word: neither a server, nor an event in the middle of a stream."""
    reports = times.sharded.issued_reports
    early = by_shard(times.issued[1][0].as_of_position)
    late = by_shard(times.sharded.proof().position)
    for wrong, message in (
        (early[0], "does not say how far the log of shard 1 went"),
        (PositionVector((early[0], early[1])), "does not say how far the log of shard 2 went"),
        (PositionVector((late[0], early[1], late[2])), "positions of several moments"),
        (PositionVector((*early.values(), 7 << 40 | 1)), "the log ends before"),
        (PositionVector((late[0] + 99, late[1], late[2])), "the log ends before"),
    ):
        with pytest.raises(ArgumentError, match=message):
            list(reports.explain(_OF_MAP, State.OFFERED, wrong).events)
        with pytest.raises(ArgumentError):
            times.sharded.exports.actions(ExportRequest(as_of=wrong))
    with pytest.raises(ArgumentError, match="positions of several moments"):
        reports.replay("default", PositionVector((late[0], early[1], late[2])))


def _export_bundle(service: Offerlog, as_of: LogPosition, place: Path) -> Any:
    """Export a bundle; returns its reports."""
    assert service.evidence is not None
    write_bundle(service.evidence, BundleRequest(ReportQuery("default"), as_of), place)
    return json.loads((place / "report.json").read_text())["reports"]


def test_a_bundle_as_of_an_earlier_position_has_each_log_up_to_there(
    times: _Times, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its verifier agrees, and its reports are those of one store; wrong positions are refused."""
    for number, (of_all, of_one) in enumerate(times.issued):
        as_of, place = of_all.as_of_position, tmp_path / f"all-{number}"
        if isinstance(as_of, int):  # there was one server
            with pytest.raises(ArgumentError, match="does not say how far the log of shard 1 went"):
                _export_bundle(times.sharded, as_of, place)
            as_of = PositionVector((as_of, 1 << 40, 2 << 40))
        # when
        found = _export_bundle(times.sharded, as_of, place)
        # then
        assert found == _export_bundle(times.single, of_one.as_of_position, tmp_path / f"one-{number}")
        assert alone.main([str(place), *key_options(times.key, (0, 1, 2))]) == 0, capsys.readouterr().out
    early, late = by_shard(as_of), by_shard(times.sharded.proof().position)
    for wrong, message in (
        (PositionVector((late[0], early[1], late[2])), "positions of several moments"),
        (PositionVector((late[0], late[1], late[2], 3 << 40)), "no server has the number 3"),
        (PositionVector((late[0], late[1] + 99, late[2])), "the log ends at position"),
    ):
        with pytest.raises(ArgumentError, match=message):
            _export_bundle(times.sharded, wrong, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_replay_is_in_vain_if_a_slice_moves_meanwhile(times: _Times) -> None:
    """So no sum has a slice twice, or not at all; nothing is left behind."""

    def move(_: RebuildProgress) -> None:
        rows(times.stores.dsns[2], "UPDATE slices SET epoch = epoch + 1 WHERE slice = 1 RETURNING 1")

    with pytest.raises(SliceInMotionError):
        times.sharded.issued_reports.replay("default", times.issued[1][0].as_of_position, move)
    for dsn in times.stores.dsns:
        assert rows(dsn, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'offerlog_replay%'") == []


def test_a_server_that_is_down_is_named(times: _Times, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is added up without it; the list of reports is that of the home."""
    monkeypatch.setattr("offerlog_application.recording.store_watch.ATTEMPTS", 1)
    reports, position = times.sharded.issued_reports, times.issued[1][0].as_of_position
    asked: list[Callable[[], object]] = [
        lambda: reports.issue(_QUERY),
        lambda: reports.replay("default", position),
        lambda: reports.explain(_OF_MAP, State.OFFERED),
        lambda: times.sharded.exports.report_as_of(_QUERY, position),
    ]
    issued = list(reports.all("default"))
    times.stores.proxy.go_away()
    try:
        for ask in asked:
            with pytest.raises(ShardUnavailableError, match="shard 1 "):
                ask()
        assert list(reports.all("default")) == issued
    finally:
        times.stores.proxy.come_back()
