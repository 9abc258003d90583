"""The filter of a reader of the feed: it chooses the events that reach the reader."""

from collections.abc import Collection
from typing import Final, NamedTuple, Self
from uuid import UUID

from offerlog_application.feed.feed_event import make_type
from offerlog_application.feed.kinds import KINDS, KINDS_BY_NAME
from offerlog_domain.errors import ArgumentError
from offerlog_domain.event_fields import Event
from offerlog_domain.identity import parse_action_map_id
from offerlog_domain.lifecycle import LIFECYCLES
from offerlog_domain.uuids import parse_uuid

_NAMES_BY_TYPE: Final = {make_type(name): name for name in KINDS_BY_NAME}
"""The names of the kinds, by their type on the wire."""


class FeedFilter(NamedTuple):
    """The kinds of events and the action maps that a reader wants.

    An erasure and a damaged event reach every reader of the organization.

    Attributes:
        names: Names of kinds; empty for all of them.
        action_maps: Ids of action maps; empty for all of them.
        media_type: The media type of the offers; None for all of them.
    """

    names: frozenset[str] = frozenset()
    action_maps: frozenset[UUID] = frozenset()
    media_type: str | None = None

    @classmethod
    def parse(
        cls,
        types: Collection[str] = (),
        action_maps: Collection[str] = (),
        media_type: str | None = None,
    ) -> Self:
        """Build a filter from texts.

        Args:
            types: Types such as `io.offerlog.offered.v1`, or names such as `offered`; empty for all.
            action_maps: Ids of action maps; empty for all.
            media_type: The media type; None for all.

        Raises:
            ArgumentError: A type is not one of events, or the media type is not tracked.
            MalformedSignalError: A text is not the id of an action map.
        """
        names = frozenset(_NAMES_BY_TYPE.get(one, one) for one in types)
        if unknown := names - KINDS_BY_NAME.keys():
            known = ", ".join(KINDS_BY_NAME)
            first = min(unknown)
            raise ArgumentError("types", f"types: {first!r} is not a type of events; these are: {known}")
        if media_type is not None and media_type not in LIFECYCLES:
            known = ", ".join(LIFECYCLES)
            raise ArgumentError("media_type", f"media_type: {media_type!r} is not one of {known}")
        maps = frozenset(parse_uuid(parse_action_map_id(one)) for one in action_maps)
        return cls(names, maps, media_type)

    def admits(self, event: Event) -> bool:
        """Return True if the reader gets an event of its organization. Some kinds are never in the feed."""
        kind = KINDS.get(type(event))
        if kind is None:  # not in the feed
            return False
        if kind.reaches_all:
            return True
        if self.media_type is not None and getattr(event, "media_type", None) != self.media_type:
            return False
        return (not self.names or kind.name in self.names) and (
            not self.action_maps or event.action_map_id in self.action_maps
        )


EVERYTHING: Final = FeedFilter()
"""Admits every event of the feed."""
