"""The port to figures of a store that operators watch: backlog, keys, checkpoints, backups, connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from offerlog_application.ports.archive import ArchiveFigures
from offerlog_application.ports.read_models import ProjectionStatus
from offerlog_application.ports.sealed_tree import TreeProgress
from offerlog_application.ports.subscriptions import Subscription
from offerlog_application.ports.webhooks import WebhookLag
from offerlog_domain.context import Rules

MAX_COUNTED: Final = 10_000
"""Rows that a figure counts at most, so that its cost does not grow with the backlog."""

SERVICE_NAME: Final = "offerlog serve"
"""Begins the name of the connections of an HTTP service; its address follows."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows that wait for something.

    Attributes:
        count: Their number, up to `MAX_COUNTED`.
        is_more: True if there are more.
        oldest: The time since which the oldest waits; None if there are none.
    """

    count: int = 0
    is_more: bool = False
    oldest: datetime | None = None


class LastCheckpoint(NamedTuple):
    """The newest checkpoint of the tree in the store. Its signatures are not checked.

    Attributes:
        origin: The name of the log.
        size: Number of events that it covers.
        signed_at: The time at which it was signed.
    """

    origin: str
    size: int
    signed_at: datetime


class StoredCheckpoint(NamedTuple):
    """A checkpoint of the tree in the store, with those who have cosigned it. No signature is checked.

    Attributes:
        origin: The name of the log.
        size: Number of events that it covers.
        signed_at: The time at which it was signed.
        cosigners: The names of those who have cosigned it.
    """

    origin: str
    size: int
    signed_at: datetime
    cosigners: frozenset[str]


class LastBackup(NamedTuple):
    """The last backup that `offerlog backup` made.

    Attributes:
        made_at: The moment whose state it holds.
        position: The position of the last event in it; 0 if there is none.
        size: Bytes of the file.
    """

    made_at: datetime
    position: int
    size: int


class StoreClient(NamedTuple):
    """Connections of one kind of process to the store.

    Attributes:
        name: The name that they state: `SERVICE_NAME` and an address for a service.
        host: The address that they come from; None for this machine.
        connections: Their number.
        since: The time at which the oldest was opened.
    """

    name: str
    host: str | None
    connections: int
    since: datetime


class PoolUse(NamedTuple):
    """The use of a pool of connections of this process.

    Attributes:
        name: The name of the pool.
        open: Number of open connections.
        idle: Number of those that nobody uses.
        most: The greatest number of connections; None if each caller gets one at once.
        waiting: Number of callers that wait for one.
    """

    name: str
    open: int
    idle: int
    most: int | None
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """Figures about a store, of all organizations. The cost of reading them does not grow with the log.

    Attributes:
        taken_at: The time of reading, by the service's clock.
        made_at: The time at which the store was made; None for a log in memory.
        server: The version of PostgreSQL; empty for a log in memory.
        database_bytes: Size of the database.
        organizations: The names of all organizations, sorted.
        position: The position of the last event; 0 if the log is empty.
        projections: Position, lag and dead letters of each projection.
        dead_letters: Number of visitor-offers that a projection could not apply.
        parked: Signals that wait for their action.
        overdue_parkings: Those of them whose parking time is over.
        overdue_deadlines: Invitations whose time-out is due and not recorded.
        refusals: Number of refusals in the last day, by reason.
        usual_refusals: Number of refusals in the week before, by reason.
        tree: The part of the log that is in the tree; None for a log without one.
        checkpoint: The newest checkpoint; None if nothing was signed.
        cosigned: The newest checkpoint with a cosignature; None if there is none among the last hundred.
        signed: The last hundred checkpoints, the newest first.
        subscriptions: The readers of the feed with their lag.
        webhooks: The webhooks with their lag.
        keys: Number of organizations whose secrets are encrypted with a key, for each key that the
            store needs, by its id.
        backup: The last backup; None if none is recorded.
        clients: The connections of the store, without those of this read.
        archive: The archive; None without one.
    """

    taken_at: datetime
    made_at: datetime | None
    server: str
    database_bytes: int
    organizations: Sequence[str]
    position: int
    projections: Sequence[ProjectionStatus]
    dead_letters: int
    parked: Backlog
    overdue_parkings: Backlog
    overdue_deadlines: Backlog
    refusals: Mapping[str, int]
    usual_refusals: Mapping[str, int]
    tree: TreeProgress | None
    checkpoint: LastCheckpoint | None
    cosigned: LastCheckpoint | None
    signed: Sequence[StoredCheckpoint]
    subscriptions: Sequence[Subscription]
    webhooks: Sequence[WebhookLag]
    keys: Mapping[str, int]
    backup: LastBackup | None
    clients: Sequence[StoreClient]
    archive: ArchiveFigures | None = None


class StoreFiguresReader(Protocol):
    """A reader of figures about the store; thread-safe."""

    def read_figures(self, rules: Rules) -> StoreFigures:
        """Read the figures.

        Args:
            rules: The periods after which a deadline or a parking is overdue.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """

    def read_each(self, rules: Rules) -> Sequence[StoreFigures]:
        """Read the figures of each server's store, the home first; where there is one, of this alone.

        Raises:
            StoreUnavailableError: A store cannot be reached.
        """

    def pools(self) -> Sequence[PoolUse]:
        """Return the use of the pools of connections of this process, without asking the store."""
