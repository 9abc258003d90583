"""The visitors with the newest activity, of a log in memory."""

from offerlog_application.ports.positions import only_position
from offerlog_application.ports.recent_visitors import (
    RecentVisitor,
    RecentVisitorPage,
    VisitorsPlace,
    show_activity,
)
from offerlog_domain.event_fields import SignalEvent
from offerlog_domain.events import EventSinceOffer
from offerlog_domain.stream_ids import token_of
from offerlog_infrastructure.memory.log import MemoryLog


class MemoryRecentVisitors:
    """The application's `RecentVisitors`; thread-safe."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def recent(
        self, organization: str, behind: VisitorsPlace | None, limit: int, media_type: str | None = None
    ) -> RecentVisitorPage:
        """Return a page of the visitors of an organization, each with the newest event, newest first."""
        with self._log.lock:
            before, top = map(only_position, behind or (self._log.last(), self._log.last()))
            newest: dict[int, RecentVisitor] = {}
            of_type: set[int] = set()
            for position, recorded in self._log.events_in_order:
                token, event = token_of(recorded.originator_id), recorded.event
                is_asked = event.organization == organization and position <= top
                if is_asked and isinstance(event, SignalEvent) and self._log.visitors.has_token(token):
                    visitor = self._log.visitors.of_token(token).key
                    newest[token] = show_activity(visitor, position, event)
                if isinstance(event, EventSinceOffer) and media_type in {None, event.media_type}:
                    of_type.add(token)
        found = (one for token, one in newest.items() if media_type is None or token in of_type)
        listed = sorted((one for one in found if one.position <= before), key=lambda one: -one.position)
        shown = listed[:limit]
        place = VisitorsPlace(shown[-1].position - 1, top) if len(listed) > limit else None
        return RecentVisitorPage(top, shown, place)
