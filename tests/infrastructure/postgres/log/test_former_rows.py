"""A store that holds rows of an older build, rows of this one, and blanked rows: all are as one."""

from pathlib import Path
from typing import Any, Final

import pytest

from offerlog_application.evidence.bundle_parts import BundleRequest
from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_domain.transparency.notes import SignatureType
from offerlog_infrastructure.clock import SystemClock
from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.evidence import verify_bundle as alone
from offerlog_infrastructure.evidence.audit_key import make_audit_key, public_file
from offerlog_infrastructure.evidence.bundle_papers import write_bundle
from offerlog_infrastructure.postgres.archive.archiver import PostgresArchiver
from support.bundles import open_sealed
from support.first_store import new_events
from support.former_rows import store_as_before
from support.internals import application_of
from support.journeys import an_id, journey, journeys
from support.recount import recounted, rows, shown

VISITORS: Final = 21
_SELECT_FORMS: Final = """
    SELECT DISTINCT split_part(topic, '.', 2) FROM offerlog_events WHERE topic ~ '^offered' ORDER BY 1
"""
_SELECT_KEYS: Final = "SELECT octet_length(wrapped_key), count(*) FROM visitors GROUP BY 1 ORDER BY 1"


def is_of_older_build(customer_id: str) -> bool:
    """Every second visitor."""
    return int(customer_id.rpartition("-")[2]) % 2 == 0


@pytest.fixture
def mixed(dsn: str) -> dict[Any, Any]:
    """A store of both forms whose log nothing has followed yet; returns its events, opened."""
    with open_offerlog(database_url=dsn, keep_deadlines=False, project=False, organization="shop") as service:
        service.record(journeys(VISITORS))
    events = dict(new_events(dsn))
    store_as_before(dsn, is_of_older_build)
    assert rows(dsn, _SELECT_FORMS) == [("2",), ("3",)]
    assert rows(dsn, _SELECT_KEYS) == [(24, VISITORS // 2), (40, VISITORS // 2 + 1)]
    return events


def later_actions(visitors: int) -> list[dict[str, object]]:
    """The same journeys a day later, with other actions."""
    return [
        one | {"actionId": f"{str(one['actionId'])[:-12]}{number:012}", "eventId": None, "createdDate": None}
        for number in range(visitors)
        for one in journey(number)
    ]


def test_both_forms_say_the_same(mixed: dict[Any, Any], dsn: str) -> None:
    """Streams, places, public fields, private fields and visitors are those of a store of one form."""
    assert dict(new_events(dsn)) == mixed


def test_a_store_of_both_forms_is_followed_verified_rebuilt_and_erased_as_any_other(
    mixed: dict[Any, Any], dsn: str, tmp_path: Path
) -> None:
    """Its bundle is verified by the file that stands alone, and its cold events are archived."""
    key = tmp_path / "audit.key"
    make_audit_key(key, "shop.example/offers", SignatureType.ED25519, None)
    with open_sealed(dsn, key) as service:
        evidence = service.evidence
        assert evidence is not None
        # repeats of what either build stored are known as such, and visitors of the older one go on
        assert service.record(journeys(VISITORS)).position is None
        assert dict(new_events(dsn)) == mixed
        service.record(later_actions(VISITORS))
        service.catch_up()
        assert shown(service, dsn) == recounted(dsn)
        # erased visitors of both
        for number in (1, 2):
            assert service.erase(customer_id=f"visitor-{number}").events
        evidence.catch_up()
        assert evidence.verify().is_whole
        service.rebuild()  # an error, if anything differs
        write_bundle(evidence, BundleRequest(ReportQuery("shop")), tmp_path / "bundle")
        assert alone.main([str(tmp_path / "bundle"), "--key", str(public_file(key))]) == 0
        # cold events of both in files
        before = {number: history(service, number) for number in range(VISITORS)}
        archiver = PostgresArchiver(application_of(service), SystemClock())
        moved = archiver.move_up_to((1 << 40) - 1, str(tmp_path), lambda _: None)
        assert moved.events
        assert {number: history(service, number) for number in range(VISITORS)} == before
        assert evidence.verify().is_whole


def history(service: Offerlog, number: int) -> object:
    """What became of a visitor's offers."""
    return service.history(customer_id=f"visitor-{number}", action_map_id=an_id("map", number % 3)).events
