"""Events as projections read them: in the stream of the log, their private fields in one piece."""

from typing import TypeVar
from uuid import UUID

from offerlog_domain.event_fields import Event, RecordedEvent, SealedEvent
from offerlog_domain.stream_ids import make_stream_id, make_token
from offerlog_infrastructure.memory.visitors import close_private
from support.scenario import MAP_ID, START

TOKEN = make_token(UUID("5" * 32), START, 0xABCDEF)
"""The visitor of the scenario in the log."""

LOGGED_STREAM = make_stream_id(TOKEN, MAP_ID)
"""The stream of the scenario's visitor-offer in the log."""

E = TypeVar("E", bound=Event)


def seal(recorded: RecordedEvent[E], stream: UUID = LOGGED_STREAM) -> SealedEvent[E]:
    """The event in that stream of the log, without a cipher."""
    return SealedEvent(stream, recorded.originator_version, recorded.event, close_private(recorded.private))
