"""A log of offers dated every 365 days from the year 2 on, as versions wrote them that took any date."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from offerlog_application.offerlog import Offerlog
from offerlog_domain.context import DecisionContext
from offerlog_domain.decision import decide
from offerlog_domain.event_fields import Event, RecordedEvent
from offerlog_domain.identity import ActionMapId, OfferKey, VisitorKey
from offerlog_domain.visitor_offer import VisitorOffer
from offerlog_domain.wire import signal_from_document
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from support.internals import application_of
from support.recount import rows

OLD_DAYS = 2_024
"""The days of each map on which something was counted."""

# What such offers leave in the projection.
_COUNT_OLD_DAYS = """
    INSERT INTO performance_days
    SELECT 'default', %s, cohort, day, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'webchat'
    FROM generate_series(-718750, 19800, 365) AS day, unnest(ARRAY['event', 'offered']) AS cohort
"""
_COUNT_OLD_SLOTS = _COUNT_OLD_DAYS.replace("performance_days", "performance_counts").replace(
    "cohort, day", "cohort, day * 96 + 40"
)


def count_old_days(dsn: str, action_map: str) -> None:
    """Count an offer of this map, of the organization `default`, on each of the old days."""
    rows(dsn, _COUNT_OLD_DAYS, action_map)
    rows(dsn, _COUNT_OLD_SLOTS, action_map)


def record_with_any_date(offerlog: Offerlog, lines: Sequence[Mapping[str, object]]) -> int | None:
    """Append offers as versions did that took any date; the last position."""
    log = PostgresLog(application_of(offerlog))
    offers, events = list[OfferKey](), list[RecordedEvent[Event]]()
    for line in lines:
        visitor = VisitorKey("cookie", str(line["customerId"]))
        action_map = ActionMapId(str(line["actionMapId"]))
        offer = offerlog._service.name(offerlog.organization, visitor, action_map)
        offers.append(offer)
        context = DecisionContext(offerlog.organization, datetime.now(UTC))
        events += decide(VisitorOffer(offer.id), signal_from_document(line), bytes, context).events
    log.load(offers)
    return log.append(events, ())
