"""Answers about an organization as a whole, its issued reports, and the keyring."""

from typing import TypedDict

from offerlog_infrastructure.presentation.json_types import Count, Position, Time


class DeletedTenant(TypedDict):
    """A deletion of an organization.

    Attributes:
        organization: The organization.
        visitors: Number of visitors who were erased by this request.
        events: Number of their events that stay in the log, unreadable.
        refusals: Number of refusals that were deleted.
        keys: Number of keys that were revoked.
        held: Number of visitors whom a legal hold protects: they are left as they are.
        first_receipt: Position of the first receipt of a visitor; null without one.
        last_receipt: Position of the last one; null without one.
        receipt: Position of the receipt of the organization; null if visitors are held.
        webhooks: Number of webhooks that were deleted; 0 if visitors are held.
        webhooks_behind: Number of those whose receivers had not got all erasures.
        subscriptions: Number of subscriptions to the feed that were deleted; 0 if visitors are held.
    """

    organization: str
    visitors: Count
    events: Count
    refusals: Count
    keys: Count
    held: Count
    first_receipt: Count | None
    last_receipt: Count | None
    receipt: Count | None
    webhooks: Count
    webhooks_behind: Count
    subscriptions: Count


class ReportGivenOut(TypedDict):
    """A report that was recorded as issued.

    Attributes:
        position: Position of the event that says so.
        as_of_position: Position of the log as of which the report counts; a text with several servers.
        digest: SHA-256 of the report's canonical text, hexadecimal.
        issued_by: The person or program that issued it.
        issued_at: The time at which it was recorded as issued.
        query: The query, as JSON.
    """

    position: Count
    as_of_position: Position
    digest: str
    issued_by: str
    issued_at: Time
    query: str


class IssuedReports(TypedDict):
    """Reports that were recorded as issued.

    Attributes:
        reports: The reports, in the order in which they were issued.
        next: The position behind which the next page begins; null on the last page.
    """

    reports: list[ReportGivenOut]
    next: Count | None


class KeyringKey(TypedDict):
    """A key of the keyring, without the key.

    Attributes:
        key: Its id.
        current: True for the key that encrypts new keys.
        made_at: The time at which it was made; null where the keyring does not say.
        used_since: The time since which this store uses it; null if it does not.
    """

    key: str
    current: bool
    made_at: Time | None
    used_since: Time | None


class Keyring(TypedDict):
    """The keys of the keyring.

    Attributes:
        keys: The keys, in the order in which they were made.
    """

    keys: list[KeyringKey]
