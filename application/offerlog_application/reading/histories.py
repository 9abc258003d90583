"""Histories of an open service: one visitor-offer, and everything of one visitor, from the log."""

from collections.abc import Callable, Generator
from datetime import datetime
from uuid import UUID

from offerlog_application.ports.organizations import OrganizationScope
from offerlog_application.ports.read_side import StreamReader, VisitorReader
from offerlog_application.ports.refusals import RefusalLog
from offerlog_application.reading.audit import History, history
from offerlog_application.reading.timeline import TimelineEntry, TimelinePlace, timeline
from offerlog_domain.errors import ArgumentError
from offerlog_domain.identity import (
    ActionMapId,
    OfferKey,
    VisitorKey,
    parse_action_map_id,
    parse_visitor_key,
)
from offerlog_domain.uuids import parse_uuid


class Histories(OrganizationScope):
    """The part of `Offerlog` that reads what was recorded of one visitor."""

    def __init__(
        self,
        streams: StreamReader,
        visitors: VisitorReader,
        refusals: RefusalLog,
        name: Callable[[str, VisitorKey, ActionMapId], OfferKey],
        digest: Callable[[str, VisitorKey], UUID],
    ) -> None:
        self._streams = streams
        self._visitors = visitors
        self._refusals_of_visitors = refusals
        self._name_offer = name
        self._name_visitor = digest

    def history(
        self,
        *,
        customer_id: str,
        action_map_id: str,
        customer_id_type: str = "cookie",
        version: int | None = None,
        as_of: datetime | None = None,
        organization: str | None = None,
    ) -> History:
        """Rebuild one visitor-offer from the log: as it is, at a version, or as it was at a time.

        Raises:
            MalformedSignalError: An argument is wrong; says which, by its wire name, and why.
            ArgumentError: A negative version, or a time without an offset.
        """
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
        offer = self._name_offer(self._of(organization), visitor, parse_action_map_id(action_map_id))
        return history(self._streams.events(offer), visitor, version=version, as_of=as_of)

    def timeline(
        self,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        action_map_id: str | None = None,
        as_of: datetime | None = None,
        organization: str | None = None,
        behind: TimelinePlace | None = None,
    ) -> Generator[TimelineEntry]:
        """Stream every event and every refusal of one visitor, in the order in which they were recorded.

        Args:
            customer_id: The visitor.
            customer_id_type: The type of that id.
            action_map_id: Only of this action map; None for all of them.
            as_of: Leave out what was recorded later than this time, which has an offset.
            organization: The tenant; None for the organization of the service.
            behind: Continue behind this place of an entry; None for the beginning.

        Raises:
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
            ArgumentError: A time without an offset.
        """
        if as_of is not None and as_of.tzinfo is None:
            raise ArgumentError("as_of", "as_of: a time with an offset is needed")
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=customer_id_type)
        map_id = None if action_map_id is None else parse_uuid(parse_action_map_id(action_map_id))
        name, start = self._of(organization), behind or TimelinePlace()
        digest = self._name_visitor(name, visitor)
        events = self._visitors.events_of_visitor(digest, map_id, start.position)
        refused = None if start.refused_at is None else (start.refused_at, start.number)
        refusals = self._refusals_of_visitors.refusals(
            name, behind=refused, visitor_digest=digest, action_map_id=map_id
        )
        return timeline(events, refusals, start, as_of)
