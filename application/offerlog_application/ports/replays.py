"""The port to the log as it stood at an earlier position."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from offerlog_application.ports.positions import LogPosition
from offerlog_application.ports.read_models import Proof
from offerlog_application.ports.read_side import PerformanceSource
from offerlog_application.ports.rebuilds import RebuildProgress
from offerlog_domain.event_fields import Event, SealedEvent
from offerlog_domain.lifecycle import State


class ReplayedEvent(NamedTuple):
    """An event of the log, with its private fields closed.

    Attributes:
        position: Its position.
        sealed: The event in its stream.
    """

    position: int
    sealed: SealedEvent[Event]


@dataclass(frozen=True, slots=True)
class ReplayedProjections:
    """All projections as they stood at a position, built anew from the log.

    Attributes:
        position: The position: that of an event; with several servers, of one in each log.
        performance: The counts behind the performance report.
        proofs: Number and digest of the events that each projection has applied.
    """

    position: LogPosition
    performance: PerformanceSource
    proofs: Sequence[Proof]


class Replays(Protocol):
    """The log as it stood at an earlier position; thread-safe.

    Each method raises `StoreUnavailableError` if the store cannot be reached.
    """

    def settle(self, position: LogPosition | None) -> LogPosition:
        """Return the position of the last event up to a position; None for the end of the log.

        Nothing can appear up to there any more.
        """

    def position_at(self, moment: datetime) -> LogPosition:
        """Return the position of the last event that was recorded by a time; 0 if there is none.

        Writers on several machines differ by what their clocks differ, so events near the time may fall on
        either side.
        """

    def last_event(self, position: int) -> tuple[int, datetime] | None:
        """Return position and time of the last event of one log up to a position; None without one."""

    def check_position(self, position: LogPosition) -> None:
        """Check that the log can be read as it stood at a position. Of several servers, reads their logs.

        Raises:
            ArgumentError: Of several servers, the position is not one of all logs at one moment.
        """

    def replay(
        self, position: LogPosition, on_progress: Callable[[RebuildProgress], None]
    ) -> AbstractContextManager[ReplayedProjections]:
        """Build all projections as they stood at a position, beside the live ones; they go with the block.

        Raises:
            ArgumentError: Of several servers, the position is not one of all logs at one moment.
            RebuildRunningError: Another replay is at work.
            RebuildWorkersError: The processes that load were killed, or failed.
            SchemaNotMadeError: The database's user may not make a schema.
        """

    def events_of(
        self, organization: str, action_map_id: UUID, state: State, position: LogPosition
    ) -> Generator[ReplayedEvent]:
        """Stream the events of a map that reached a state, up to a position, in the order of positions.

        Reads all of the log, page by page. Raises `ArgumentError` as `replay` does.
        """
