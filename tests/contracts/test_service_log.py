"""What the log promises of events that belong to no visitor-offer, in memory and on PostgreSQL alike."""

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import pytest

from offerlog_application.ports.event_log import VersionConflictError
from offerlog_application.ports.service_log import ServiceLog
from offerlog_application.reading.service_entries import iterate_entries
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.service_events import SERVICE_EVENTS, KeyRotated
from offerlog_domain.stream_ids import (
    make_organization_stream_id,
    make_organization_token,
    make_token,
    make_visitor_stream_id,
)
from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.memory.log import MemoryLog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.service_log import PostgresServiceLog
from support.scenario import ORGANIZATION, START
from support.service_events import ONE_OF_EACH

VISITOR = make_visitor_stream_id(make_token(UUID("5" * 32), START, 77))
ORGANIZATIONS = make_organization_stream_id(ORGANIZATION)
ERASED, *OTHERS = ONE_OF_EACH


@pytest.fixture(params=["in memory", "on postgresql"])
def log(request: pytest.FixtureRequest) -> Iterator[ServiceLog]:
    """One of each; only the one on PostgreSQL needs a server."""
    if request.param == "in memory":
        yield MemoryLog(RefusalPolicy())
        return
    with closing(OfferlogApplication(request.getfixturevalue("dsn"), SCHEMA)) as application:
        yield PostgresServiceLog(application)


def test_every_kind_comes_back_equal(log: ServiceLog) -> None:
    """Each stream counts its versions from 1, and the positions rise."""
    # when
    entries = [log.append_entry(VISITOR, ERASED)]
    entries += [log.append_entry(ORGANIZATIONS, event) for event in OTHERS]
    # then
    assert [one.event for one in entries] == ONE_OF_EACH
    assert {type(one.event) for one in entries} == {*SERVICE_EVENTS}
    assert [one.version for one in entries] == [1, *range(1, len(OTHERS) + 1)]
    assert [one.position for one in entries] == sorted({one.position for one in entries})
    assert log.read_entries(VISITOR) == entries[:1]
    assert log.read_entries(ORGANIZATIONS) == entries[1:]


def test_a_version_that_is_taken_is_a_conflict(log: ServiceLog) -> None:
    """So one of two erasures of a visitor finds that the other was first."""
    # given
    first = log.append_entry(VISITOR, ERASED, version=1)
    # when
    with pytest.raises(VersionConflictError) as raised:
        log.append_entry(VISITOR, ERASED, version=1)
    # then
    assert raised.value.streams == {VISITOR}
    assert not raised.value.waiting
    assert log.read_entries(VISITOR) == [first]


def test_an_organization_reads_its_own_entries_page_by_page(log: ServiceLog) -> None:
    """Another one may share the stream, where the first 28 bits of two hashes are the same."""
    # given
    of_another = KeyRotated(
        organization="another", recorded_at=START, purpose="keyring", old_key_id="a", new_key_id="b"
    )
    for event in (OTHERS[0], of_another, OTHERS[1]):
        log.append_entry(ORGANIZATIONS, event)
    # when
    found = [entry.event for entry in iterate_entries(log, ORGANIZATION)]
    # then
    assert found == [OTHERS[0], OTHERS[1]]
    assert [one.version for one in log.read_entries(ORGANIZATIONS, after=1, limit=1)] == [2]


def test_the_stream_of_an_organization_never_meets_that_of_a_visitor() -> None:
    """Its token has the second 0, and the earliest visitor has the second 1."""
    tokens = [make_organization_token(name) for name in ("acme", "default", "Ünternehmen")]
    assert [token % 2**60 >> 28 for token in tokens] == [0, 0, 0]
    assert len({make_organization_stream_id(name) for name in ("acme", "default")}) == 2
    assert make_token(UUID("5" * 32), START.replace(year=1900), 0) % 2**60 >> 28 == 1
