"""All ports of one store together. The application service is built over them."""

from dataclasses import dataclass
from typing import Protocol

from offerlog_application.ports.event_log import EventLog, Streams
from offerlog_application.ports.keys import KeyStore
from offerlog_application.ports.organizations import Organizations
from offerlog_application.ports.projections import DeadLetters, EventKinds, Proofs, Rebuilds
from offerlog_application.ports.read_side import Changes, PerformanceSource, ReadSide, StreamReader
from offerlog_application.ports.refusals import RefusalCounter, RefusalLog
from offerlog_application.ports.store_trouble import TroubleCounts
from offerlog_application.ports.write_fence import WriteFence


class Log(EventLog, Streams, Protocol):
    """The log, as the service uses it."""

    def last(self) -> int:
        """Return the last position in the log; 0 if the log is empty.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def close(self) -> None:
        """Release the connections of the writer's side of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The ports of one store.

    Attributes:
        log: Loads and appends.
        fence: Stops writers that decided before a change.
        streams: Reads whole streams for audits.
        reads: Lists, look-ups and positions of the projections.
        performance: Counts for the performance report.
        refusals: The refusal log.
        refusal_counts: Its counts.
        proofs: Proofs of the projections.
        dead_letters: Visitor-offers that projections could not apply.
        rebuilds: Rebuilds of projections.
        kinds: The kinds of stored events.
        keys: API keys.
        organizations: Known organizations.
        changes: Action maps of the newest events.
        troubles: Failed calls of the store in this process, by reason.
    """

    log: Log
    fence: WriteFence
    streams: StreamReader
    reads: ReadSide
    performance: PerformanceSource
    refusals: RefusalLog
    refusal_counts: RefusalCounter
    proofs: Proofs
    dead_letters: DeadLetters
    rebuilds: Rebuilds
    kinds: EventKinds
    keys: KeyStore
    organizations: Organizations
    changes: Changes
    troubles: TroubleCounts
