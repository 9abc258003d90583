"""The receipts that erasures have in the log already, for erasures that several calls work on."""

from datetime import datetime
from typing import NamedTuple

from offerlog_application.ports.erasure import BegunErasure, Erasure
from offerlog_application.ports.service_log import ServiceEntry, ServiceLog
from offerlog_domain.service_events import ErasureReceipt, OrganizationDeleted
from offerlog_domain.stream_ids import make_organization_stream_id

_Place = tuple[str, datetime, int | None]
"""Organization, time of the first step, and position of the `VisitorErased`: they tell erasures apart."""


class KnownReceipts:
    """Finds receipts in the organizations' own streams; each stream is read once. For one thread.

    Args:
        log: The streams.
    """

    def __init__(self, log: ServiceLog) -> None:
        self._log = log
        self._read_to: dict[str, int] = {}
        self._found: dict[_Place, Erasure] = {}

    def find(self, erasure: BegunErasure, position: int | None) -> Erasure | None:
        """Return an erasure as its last receipt states it; None if the log has no receipt of it yet.

        Args:
            erasure: The erasure.
            position: The position of its `VisitorErased`; None without one.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            UnreadableEventError: A stored event is unknown to this build.
        """
        stream = make_organization_stream_id(erasure.organization)
        after = self._read_to.get(erasure.organization, 0)
        while page := self._log.read_entries(stream, after):
            after = self._read_to[erasure.organization] = page[-1].version
            for entry in page:
                self._add(entry)
        return self._found.get((erasure.organization, erasure.erased_at, position))

    def _add(self, entry: ServiceEntry) -> None:
        event = entry.event
        if isinstance(event, ErasureReceipt):
            place = event.organization, event.erased_at, event.erased_position
            self._found[place] = describe_receipt(event, entry.position)


class LastReceipts(NamedTuple):
    """The last receipts in an organization's own stream.

    Attributes:
        erased_at: The time of the last receipt of an erasure; None without one.
        deleted_at: The time of the last receipt of the organization's deletion; None without one.
        is_erasure_last: True if that of an erasure is the later one.
    """

    erased_at: datetime | None = None
    deleted_at: datetime | None = None
    is_erasure_last: bool = False


def read_last_receipts(log: ServiceLog, organization: str) -> LastReceipts:
    """Read an organization's own stream for its last receipts.

    Raises:
        StoreUnavailableError: The store cannot be reached.
        UnreadableEventError: A stored event is unknown to this build.
    """
    last, stream, after = LastReceipts(), make_organization_stream_id(organization), 0
    while page := log.read_entries(stream, after):
        after = page[-1].version
        for entry in page:
            if isinstance(entry.event, ErasureReceipt):
                last = LastReceipts(entry.event.recorded_at, last.deleted_at, is_erasure_last=True)
            elif isinstance(entry.event, OrganizationDeleted):
                last = LastReceipts(last.erased_at, entry.event.recorded_at)
    return last


def describe_receipt(receipt: ErasureReceipt, position: int) -> Erasure:
    """Return the erasure that a receipt at a position states."""
    return Erasure(
        receipt.organization,
        receipt.erased_at,
        receipt.events,
        receipt.refusals,
        receipt.erased_position,
        position,
        receipt.signature,
        receipt.unreadable,
    )
