"""Everything that the checks of an operator look at, as it was observed at one moment."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from offerlog_application.ports.store_figures import SERVICE_NAME, StoreClient, StoreFigures
from offerlog_domain.context import Rules


@dataclass(frozen=True, slots=True)
class ObservedDisk:
    """The disk of the data folder.

    Attributes:
        store_bytes: Size of the files in the data folder.
        free_bytes: Free space on the disk.
        total_bytes: Size of the disk.
    """

    store_bytes: int
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class ObservedKeyring:
    """The keyring.

    Attributes:
        place: The file.
        current: The id of the current key; None if there is no file, or it cannot be used.
        keys: The ids of all of its keys.
        trouble: The reason why it cannot be used; None if it can.
    """

    place: str
    current: str | None
    keys: Sequence[str]
    trouble: str | None


@dataclass(frozen=True, slots=True)
class ObservedWorkers:
    """The processes of a service that has workers, by their connections to the store.

    Attributes:
        count: The number of workers that it was started with.
        missing: The numbers of those without a connection.
        has_background: True if the process of the background has one.
    """

    count: int
    missing: Sequence[int]
    has_background: bool


@dataclass(frozen=True, slots=True)
class ObservedService:
    """A running service, as it answers.

    Attributes:
        address: Its address.
        trouble: The reason why it is not ready, in its own words; None if it is ready.
        is_reached: False if it did not answer.
        incidents: Groups of its writer that an unexpected error ended; None if that is not known.
        workers: Its processes; None for a service of one process.
    """

    address: str
    trouble: str | None
    is_reached: bool
    incidents: int | None
    workers: ObservedWorkers | None = None


@dataclass(frozen=True, slots=True)
class ObservedShard:
    """The place of a store among several servers.

    Attributes:
        number: Its number; 0 for the home.
        slices: The slices that the directory gives it.
        owned: The slices that it owns; None if it could not be read.
    """

    number: int
    slices: Sequence[int]
    owned: Collection[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One moment of a store and of what is around it.

    Attributes:
        at: The time.
        version: The version of this offerlog.
        store: The place of the store, without a password.
        is_embedded: True for the embedded store.
        known_migration: The newest migration of this offerlog.
        migration: The newest migration of the store; None if it could not be read.
        figures: Figures of the store; None if they could not be read, or its tables have another version.
        trouble: The reason why the store could not be read; None if it was.
        advice: Advice on that trouble.
        disk: The disk; None if it is not known.
        keyring: The keyring.
        services: The running services that were asked.
        server_log: Faults in the log of the embedded server, of the last day; None if it cannot be read.
        has_audit_key: True if there is a key that signs checkpoints.
        checkpoints: The folder of checkpoints; None for none.
        checkpoint_period: Time between two checkpoints; 0 for none.
        witnesses: The names of the witnesses that the settings name.
        rules: The periods of the service.
        shard: The place of the store among several servers; None for a store that is the only one.
    """

    at: datetime
    version: str
    store: str
    is_embedded: bool
    known_migration: int
    migration: int | None
    figures: StoreFigures | None
    trouble: str | None
    advice: str | None
    disk: ObservedDisk | None
    keyring: ObservedKeyring
    services: Sequence[ObservedService]
    server_log: Sequence[str] | None
    has_audit_key: bool
    checkpoints: str | None
    checkpoint_period: timedelta
    witnesses: Sequence[str]
    rules: Rules
    shard: ObservedShard | None = None


def services_among(clients: Sequence[StoreClient]) -> Sequence[StoreClient]:
    """Return the connections of HTTP services."""
    return [one for one in clients if one.name.startswith(f"{SERVICE_NAME} ")]
