"""What crash tests reach inside an open service for."""

from offerlog_application.offerlog import Offerlog
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.log.event_log import PostgresLog


def application_of(service: Offerlog) -> OfferlogApplication:
    """The eventsourcing application under a service: its pools, its recorders and its address."""
    log = service._log
    assert isinstance(log, PostgresLog)
    return log._application
