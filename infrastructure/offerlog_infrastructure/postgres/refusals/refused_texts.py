"""The texts of refused signals, sealed under a key of their organization."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from offerlog_domain.outcomes import Refusal
from offerlog_infrastructure.postgres.organization_sealers import OrganizationSealers
from offerlog_infrastructure.postgres.store_keys import StoreKeys

_LABEL: Final = b"offerlog: texts of refused signals"
"""Derives the key from the organization's secret."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class RefusalRow(NamedTuple):
    """A refusal as it is stored; `text_bytes` is for the tallies alone.

    Attributes:
        organization: The tenant.
        recorded_at: When it was refused.
        reason: The reason code.
        field: The wire name of the field at fault.
        cause: What is wrong with it.
        sealed_text: The text, sealed; empty where no text is kept.
        raw_length: Bytes of the text that came, where not all of it is kept.
        visitor_digest: The keyed digest of the visitor; None where the text does not say whose it is.
        action_map_id: The action map; None where the text cannot be read.
        text_bytes: Bytes of the text that is kept, before it was sealed.
        parked_number: The number of the short signal that has waited at the home; None for any other signal.
    """

    organization: str
    recorded_at: datetime
    reason: str
    field: str | None
    cause: str | None
    sealed_text: bytes
    raw_length: int | None
    visitor_digest: UUID | None
    action_map_id: UUID | None
    text_bytes: int
    parked_number: int | None = None


class RefusedTexts:
    """Seals and opens the texts of refused signals; thread-safe.

    A text is bound to its organization, time and reason, so that it cannot be moved to another row unnoticed.

    Args:
        keys: The secrets of the organizations.
    """

    def __init__(self, keys: StoreKeys) -> None:
        self._sealers = OrganizationSealers(keys, _LABEL)

    def to_rows(self, refusals: Sequence[Refusal]) -> list[RefusalRow]:
        """Return the rows of refusals, with their texts sealed.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt an organization's secret.
        """
        return [
            RefusalRow(
                one.organization,
                one.recorded_at,
                one.reason.value,
                one.field,
                one.cause,
                self.seal(one.organization, one.recorded_at, one.reason.value, one.raw),
                one.raw_length,
                one.visitor_digest,
                one.action_map_id,
                len(one.raw),
                one.parked_number,
            )
            for one in refusals
        ]

    def seal(self, organization: str, recorded_at: datetime, reason: str, text: bytes) -> bytes:
        """Seal one text; nothing stays nothing.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt the organization's secret.
        """
        if not text:
            return b""
        return self._sealers.of(organization).seal(text, _place_of(organization, recorded_at, reason))

    def open(self, organization: str, recorded_at: datetime, reason: str, sealed_text: bytes) -> bytes:
        """Open one text.

        Raises:
            UnsealError: It was changed or moved.
            StoreUnavailableError: The store cannot be reached.
            KeyringError: The keyring cannot decrypt the organization's secret.
        """
        if not sealed_text:
            return b""
        return self._sealers.of(organization).open(sealed_text, _place_of(organization, recorded_at, reason))


def _place_of(organization: str, recorded_at: datetime, reason: str) -> bytes:
    """Describe the row of a refusal. Neither a reason nor an organization holds a space."""
    microseconds = (recorded_at - _EPOCH) // _MICROSECOND
    return b"%d %b %b" % (microseconds, reason.encode(), organization.encode())
