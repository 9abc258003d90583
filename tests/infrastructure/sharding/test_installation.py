"""A store becomes the home of several, and empty stores get empty slices of it."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final
from unittest.mock import Mock
from uuid import UUID

import psycopg
import pytest

from offerlog import (
    NotOverShardsError,
    Offerlog,
    ReportQuery,
    ShardArgumentError,
    ShardError,
    UnknownProjectionError,
    open_offerlog,
)
from offerlog_application.sharding.sharded_offerlog import ShardedOfferlog
from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import State
from offerlog_domain.service_events import ActionMapPolicySet
from offerlog_domain.stream_ids import ALL_SLICES, format_slices
from offerlog_infrastructure.installation import Installation, parse_slices
from offerlog_infrastructure.postgres import migrations
from offerlog_infrastructure.postgres.shards import setup
from support.installations import make_stores, shard_of, without_password
from support.journeys import an_id, journeys, signal
from support.keyrings import run_keyring
from support.recount import rows
from support.superuser import superuser

_HELD: Final = "add the server without them"


@pytest.mark.parametrize("text", ["8-f", "0", "0,3,a-c", "0-f"])
def test_slices_are_written_as_digits(text: str) -> None:
    """In both directions."""
    assert format_slices(parse_slices(text)) == text


@pytest.mark.parametrize("text", ["", "g", "f-8", "1-", "-1", "10", "1,,2"])
def test_what_names_no_slices_is_an_error(text: str) -> None:
    """That quotes it."""
    with pytest.raises(ArgumentError, match="names no slices"):
        parse_slices(text)


def test_each_slice_has_one_owner_and_each_shard_its_own_positions(make_dsn: Callable[[], str]) -> None:
    """In the directory and in the stores."""
    with make_stores(make_dsn, "6-a", "f") as stores:
        with Installation(None, stores.dsns[0], run_keyring()) as installation:
            states = installation.states()
        # then
        assert [(one.number, [*one.slices], one.trouble) for one in states] == [
            (0, [0, 1, 2, 3, 4, 5, 11, 12, 13, 14], None),
            (1, [6, 7, 8, 9, 10], None),
            (2, [15], None),
        ]
        assert all({*one.slices} == one.owned for one in states)
        assert rows(
            stores.dsns[2], "SELECT seqstart FROM pg_sequence WHERE seqrelid = 'log_positions'::regclass"
        ) == [((2 << 40) + 1,)]
        # and a shard is not opened by itself: it would answer for a part as if that were all
        with pytest.raises(ShardError, match="shard 2 of several"):
            open_offerlog(database_url=stores.dsns[2])


def test_what_was_interrupted_is_gone_on_with(make_dsn: Callable[[], str]) -> None:
    """At any step: the same call again gives the same installation."""
    home, other = make_dsn(), make_dsn()
    with Installation(None, home, run_keyring()) as installation:
        installation.begin()
        installation.begin()
    with Installation(None, home, run_keyring()) as installation:
        assert installation.add(without_password(other), [8, 9]) == 1
        # given the home has given a slice away, and nobody has taken it
        rows(home, "UPDATE slices SET is_owned = false, epoch = epoch + 1 WHERE slice = 10")
        # and the shard has taken another one, and the directory does not say so
        rows(home, "UPDATE directory SET shard = 0 WHERE slice = 9")
        # when
        assert installation.add(without_password(other), [8, 9, 10]) == 1
        # then
        assert [[*one.slices] for one in installation.states()] == [[*ALL_SLICES - {8, 9, 10}], [8, 9, 10]]
        assert [{*one.slices} == one.owned for one in installation.states()] == [True, True]


def test_a_slice_that_an_interrupted_call_gave_away_goes_back_if_it_has_visitors(
    make_dsn: Callable[[], str],
) -> None:
    """Nobody would own it otherwise, and its visitors would be refused for ever."""
    home, other = make_dsn(), make_dsn()
    with open_offerlog(database_url=home, keep_deadlines=False) as service:
        service.record(journeys(200))
    with Installation(None, home, run_keyring()) as installation:
        installation.begin()
    # given it was given away behind a visitor's first signal, and nobody has looked through it
    rows(home, "UPDATE slices SET is_owned = false, epoch = epoch + 1 WHERE slice = 8")
    # when
    with Installation(None, home, run_keyring()) as installation:
        with pytest.raises(ShardError, match=_HELD):
            installation.add(without_password(other), [8])
        # then
        assert [one.owned for one in installation.states()] == [ALL_SLICES]


def _kill_behind(step: Callable[..., object], *given: object) -> None:
    step(*given)
    raise KeyboardInterrupt


def test_no_two_stores_get_the_same_number(
    make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first call was killed before its store had the number, or right behind that."""
    home, first, second = make_dsn(), make_dsn(), make_dsn()
    with Installation(None, home, run_keyring()) as installation:
        installation.begin()
    with Installation(None, home, run_keyring()) as installation:
        # given
        number = setup._number
        for step in (Mock(), number):
            with monkeypatch.context() as patched:
                patched.setattr(setup, "_number", lambda *given, step=step: _kill_behind(step, *given))
                with pytest.raises(KeyboardInterrupt):
                    installation.add(without_password(first), [8])
        # when
        assert installation.add(without_password(second), [9]) == 2
        assert installation.add(without_password(first), [8]) == 1
        # then
        states = installation.states()
        assert [(one.number, [*one.slices], one.trouble) for one in states[1:]] == [
            (1, [8], None),
            (2, [9], None),
        ]


def test_a_slice_never_has_two_owners(make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a call is killed before its store has the slice, and another store is given then."""
    home, first, second = make_dsn(), make_dsn(), make_dsn()
    with Installation(None, home, run_keyring()) as installation:
        installation.begin()
    with Installation(None, home, run_keyring()) as installation:
        installation.add(without_password(first), [9])
        # given
        with monkeypatch.context() as patched:
            patched.setattr(setup, "_take", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                installation.add(without_password(first), [8])
        # when
        with pytest.raises(ShardError, match="another shard has the slices 8"):
            installation.add(without_password(second), [8])
        # then
        assert not any(8 in (one.owned or ()) for one in installation.states())
        # and the same call goes on
        assert installation.add(without_password(first), [8]) == 1
        assert [one.number for one in installation.states() if 8 in (one.owned or ())] == [1]


def test_a_slice_with_visitors_is_not_given_away(make_dsn: Callable[[], str]) -> None:
    """It would have to be moved. Nothing is changed."""
    home, other = make_dsn(), make_dsn()
    with open_offerlog(database_url=home, keep_deadlines=False) as service:
        service.record(journeys(200))
    with Installation(None, home, run_keyring()) as installation:
        installation.begin()
    with Installation(None, home, run_keyring()) as installation:
        with pytest.raises(ShardError, match=_HELD):
            installation.add(without_password(other), [8])
        assert [one.owned for one in installation.states()] == [ALL_SLICES]
    assert rows(other, "SELECT count(*) FROM shard") == [(0,)]


def test_only_an_empty_store_becomes_a_shard(make_dsn: Callable[[], str]) -> None:
    """And one of no other installation."""
    home, used, elsewhere = make_dsn(), make_dsn(), make_dsn()
    with open_offerlog(database_url=used, keep_deadlines=False) as service:
        service.organizations.register("default")
    for one in (home, elsewhere):
        with Installation(None, one, run_keyring()) as installation:
            installation.begin()
    with Installation(None, home, run_keyring()) as installation:
        with pytest.raises(ShardError, match="not empty"):
            installation.add(without_password(used), [8])
        with pytest.raises(ShardError, match="belongs to another installation"):
            installation.add(without_password(elsewhere), [8])
        with pytest.raises(ShardArgumentError, match="address of the home itself"):
            installation.add(without_password(home), [8])
        with pytest.raises(ShardError, match="password"):
            installation.add(f"{without_password(make_dsn())} password=secret", [8])
        assert [one.owned for one in installation.states()] == [ALL_SLICES]


def test_a_store_in_use_does_not_become_a_home(offerlog: Offerlog, dsn: str) -> None:
    """The services that are open would go on as if it had all visitors."""
    offerlog.record(journeys(3))
    with (
        Installation(None, dsn, run_keyring()) as installation,
        pytest.raises(ShardError, match="Stop all services first"),
    ):
        installation.begin()


def test_sessions_of_other_roles_count_and_so_do_those_with_the_name_of_the_address(dsn: str) -> None:
    """PostgreSQL shows a role little of the sessions of others, and services may be named by the address."""
    with (
        open_offerlog(database_url=f"{dsn} application_name=shop", keep_deadlines=False),
        Installation(None, f"{dsn} application_name=shop", run_keyring()) as installation,
        pytest.raises(ShardError, match="shop"),
    ):
        installation.begin()
    with (
        psycopg.connect(superuser(dsn)),
        Installation(None, dsn, run_keyring()) as installation,
        pytest.raises(ShardError, match="pg_read_all_stats"),
    ):
        installation.begin()
    with Installation(None, dsn, run_keyring()) as installation:
        installation.begin()


def test_a_shard_never_makes_a_secret(make_dsn: Callable[[], str]) -> None:
    """The home's is copied: under another secret, a visitor would have another slice."""
    with make_stores(make_dsn, "8-f") as stores, stores.open(organization="shop") as service:
        for n in range(20):
            service.record([signal("offered", visitor=n)])
        shard, home = service._router.get(1), service._router.home
        assert shard.store.log.key("shop").has_secret_of(home.store.log.key("shop"))
        assert shard.store.log.key("new").has_secret_of(home.store.log.key("new"))
        assert shard.store.organizations.names() == home.store.organizations.names() == ["new", "shop"]


def test_a_process_with_an_old_map_finds_a_shard_that_was_added_later(make_dsn: Callable[[], str]) -> None:
    """Its signals are recorded at the new owner, and its reports have them."""
    with make_stores(make_dsn, "8-b") as stores, stores.open() as stale:
        third = make_dsn()
        with Installation(None, stores.dsns[0], run_keyring()) as installation:
            assert installation.add(without_password(third), [12, 13, 14, 15]) == 2
        receipt = stale.record([signal("offered", visitor=n) for n in range(60)])
        assert {one.kind.value for one in receipt.outcomes} == {"recorded"}
        assert {shard_of(stale, n) for n in range(60)} == {0, 1, 2}
        stale.wait(receipt.position)
        (row,) = stale.report(ReportQuery("default")).rows
        assert row.metrics["nWebActionsOffered"] == 60


def test_of_two_policies_that_are_set_at_once_one_is_in_force_on_every_shard(
    make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although they came to the shards in another order."""
    with make_stores(make_dsn, "8-f") as stores, stores.open() as first, stores.open() as second:
        # given another one that is set while the first is in force on the shard alone
        of_home = first._router.home.store.policies
        put = of_home.put_policy

        def put_behind_another(event: ActionMapPolicySet) -> int | None:
            second.policies.set(an_id("map"), {"rejected": timedelta(hours=2)})
            return put(event)

        monkeypatch.setattr(of_home, "put_policy", put_behind_another)
        # when
        first.policies.set(an_id("map"), {"rejected": timedelta(hours=1)})
        # then
        name = "default", UUID(an_id("map"))
        found = [first._router.get(one).store.policies.find_policy(*name) for one in (0, 1)]
        assert [one.to_seconds() for one in found] == [{State.REJECTED: 3600}] * 2


def test_policies_are_in_force_on_every_shard(make_dsn: Callable[[], str]) -> None:
    """Also on one that is added later."""
    with make_stores(make_dsn, "8-b") as stores, stores.open() as service:
        service.policies.set(an_id("map"), {"rejected": timedelta(hours=1)})
        third = make_dsn()
        with Installation(None, stores.dsns[0], run_keyring()) as installation:
            installation.add(without_password(third), [12, 13, 14, 15])
        for n in range(40):
            service.record([signal("offered", visitor=n), signal("rejected", visitor=n)])
            asked = {"customer_id": f"visitor-{n}", "action_map_id": an_id("map")}
            assert service.eligibility(**asked) is None
        assert {shard_of(service, n) for n in range(40)} == {0, 1, 2}


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda one: one.position(), id="a position"),
        pytest.param(lambda one: one.operations.figures(), id="figures"),
        pytest.param(lambda one: one.evidence.checkpoint(), id="a checkpoint"),
        pytest.param(lambda one: one.archiver.figures(), id="an archive"),
    ],
)
def test_what_does_not_work_over_several_servers_is_one_clear_error(
    home_service: ShardedOfferlog, ask: Callable[[Offerlog], object]
) -> None:
    """And never an answer from one of them."""
    with pytest.raises(NotOverShardsError, match="does not work over several servers yet"):
        ask(home_service)


def test_refusals_of_a_shard_are_numbered_behind_those_of_the_home(make_dsn: Callable[[], str]) -> None:
    """Also those of a shard that has numbered them from 1: the migration gives them other numbers."""
    with make_stores(make_dsn, "8-f") as stores, stores.open() as service:
        visitor = next(n for n in range(40) if shard_of(service, n) == 1)
        line = json.dumps(signal("offered", visitor=visitor, sessionId="no id"))
        service.record([line])
        (first,) = service.refusals()
        assert first.number >> 40 == 1
        # given numbers as they were
        sequence = "pg_get_serial_sequence('refusals', 'id')"
        migration = (Path(migrations.__file__).parent / "sql/0054_numbers_of_refusals.sql").read_text()
        with psycopg.connect(stores.dsns[1], options="-c search_path=offerlog", autocommit=True) as store:
            store.execute("ALTER TABLE refusals ALTER id SET GENERATED BY DEFAULT")
            store.execute("UPDATE refusals SET id = 1")
            store.execute("ALTER TABLE refusals ALTER id SET GENERATED ALWAYS")
            store.execute(f"SELECT setval({sequence}, 1)".encode())
            # when
            store.execute(migration.encode())
        # then
        service.record([line])
        numbers = [one.number for one in service.refusals()]
        assert [one >> 40 for one in numbers] == [1, 1]
        assert numbers[0] == (1 << 40) + 1 < numbers[1]


def test_projections_are_worked_on_at_every_shard(home_service: ShardedOfferlog) -> None:
    """Through the same calls as where there is one server."""
    assert (list(home_service.dead_letters()), home_service.retry_dead_letters()) == ([], 0)
    assert [one.projection for one in home_service.verify("performance")] == ["performance@0"]
    assert {one.name for one in home_service.projections()} >= {"performance@0"}
    with pytest.raises(UnknownProjectionError, match="nothing"):
        home_service.rebuild("nothing")
