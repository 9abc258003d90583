"""Answers about the keys of the HTTP service."""

from typing import TypedDict

from offerlog_infrastructure.presentation.json_types import RoleName, Time


class ApiKey(TypedDict):
    """A key of the HTTP service, without its secret.

    Attributes:
        id: Its public part, which may be logged.
        organization: The organization whose data it opens.
        role: Its rights.
        name: Its purpose, for people.
        origins: The web origins from which a browser may use it; empty for any.
        created_at: The time at which it was made.
        expires_at: The time from which it is refused; null if it does not expire.
        last_used_at: A time at which it was used, some minutes before the last use at most; null if no use
            has been recorded.
        revoked_at: The time at which it was revoked; null if it was not.
    """

    id: str
    organization: str
    role: RoleName
    name: str
    origins: list[str]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class NewApiKey(ApiKey):
    """A key that was just made.

    Attributes:
        last_used_at: Null: it has not been used.
        revoked_at: Null: it was not revoked.
        key: The text of the key, for `Authorization: Bearer`. No later answer shows it.
    """

    key: str


class ApiKeys(TypedDict):
    """The keys of an organization.

    Attributes:
        keys: Each key in the order in which they were made, with those that were revoked or have expired.
    """

    keys: list[ApiKey]
