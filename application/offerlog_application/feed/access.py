"""Access of an open service to its feed."""

from collections.abc import Collection, Generator

from offerlog_application.feed.feed_event import FeedEvent
from offerlog_application.feed.reading_feed import EventFeed
from offerlog_application.feed.subscriptions import Subscriptions
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.event_source import EventSource
from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.subscriptions import SubscriptionStore


class FeedAccess:
    """The part of `Offerlog` that hands out events.

    Attributes:
        feed: The feed of events: pages, and waiting for more.
        subscriptions: Cursors that the service keeps for readers of the feed.
    """

    def __init__(
        self, source: EventSource, subscriptions: SubscriptionStore, clock: Clock, organization: str
    ) -> None:
        self.feed = EventFeed(source, organization)
        self.subscriptions = Subscriptions(subscriptions, clock, organization)

    def events(
        self,
        after: LogPosition = 0,
        *,
        types: Collection[str] = (),
        action_maps: Collection[str] = (),
        media_type: str | None = None,
        organization: str | None = None,
        identified: bool = False,
    ) -> Generator[FeedEvent]:
        """Stream the events after a position, in order, up to the end of the log. Holds one page at a time.

        To go on later, call again with the `cursor` of the last event; `feed.page` and `feed.follow` give
        positions that also count the events which do not match.

        Args:
            after: Cursor of an event, as the event has it; 0 for the beginning of the log.
            types: Types or names of kinds, such as `offered`; empty for all. The erasure of a visitor comes
                in any case.
            action_maps: Ids of action maps; empty for all.
            media_type: The media type of the offers, such as `contentOffer`; None for all.
            organization: The tenant; None for the organization of the service.
            identified: True for the visitor's identity and the other fields that identify somebody.

        Raises:
            ArgumentError: An unknown type or media type; from the first step, a position without an event.
            MalformedSignalError: A text is not the id of an action map.
            ShardUnavailableError: One of several servers cannot be reached; what came before is not all.
        """
        return self.feed.events(
            after,
            types=types,
            action_maps=action_maps,
            media_type=media_type,
            organization=organization,
            identified=identified,
        )
