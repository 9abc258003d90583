"""An event of the first format: nothing of it is sealed, and it names its visitor."""

from typing import NamedTuple

from offerlog_domain.event_fields import Event, PrivateFields
from offerlog_domain.identity import VisitorKey


class UnsealedEvent(NamedTuple):
    """An event of the first format, in the fields of today.

    Attributes:
        event: The public fields.
        private: The private fields.
        visitor: The visitor, whom today's events do not name.
    """

    event: Event
    private: PrivateFields
    visitor: VisitorKey
