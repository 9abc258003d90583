"""What crash tests reach inside an open service for."""

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.postgres.keys import PostgresKeys
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog
from offerlog_infrastructure.replica.follower import SuppressionReplica
from offerlog_infrastructure.replica.store import ReplicaStore


def application_of(service: Offerlog) -> OfferlogApplication:
    """The eventsourcing application under a service: its pools, its recorders and its address."""
    log = service._log
    assert isinstance(log, PostgresLog)
    return log._application


def stop_projector(service: Offerlog) -> None:
    """End the service's projector; the service itself stays open."""
    assert service._projector is not None
    service._projector.close()


def keys_of(service: Offerlog) -> PostgresKeys:
    """The service's keys, with those that it remembers."""
    assert isinstance(service.keys, PostgresKeys)
    return service.keys


def forget_keys(service: Offerlog) -> None:
    """Make the service ask the store for every key again."""
    keys_of(service)._remembered._known.clear()


def replica_store_of(service: Offerlog) -> ReplicaStore:
    """The files of the service's local replica."""
    assert isinstance(service._replica, SuppressionReplica)
    return service._replica._store
