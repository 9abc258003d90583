"""The entries of an organization's own stream, read page by page."""

from collections.abc import Iterator

from offerlog_application.ports.service_log import ServiceEntry, ServiceLog
from offerlog_domain.stream_ids import make_organization_stream_id


def iterate_entries(log: ServiceLog, organization: str) -> Iterator[ServiceEntry]:
    """Yield what the service did for an organization, in order of the log.

    Raises:
        StoreUnavailableError: The store cannot be reached.
        UnreadableEventError: A stored event is unknown to this build.
    """
    stream, after = make_organization_stream_id(organization), 0
    while page := log.read_entries(stream, after):
        after = page[-1].version
        yield from (entry for entry in page if entry.event.organization == organization)
