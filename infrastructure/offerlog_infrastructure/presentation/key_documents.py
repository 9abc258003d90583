"""Keys of the HTTP service, as documents."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING

from offerlog_infrastructure.presentation.documents import format_optional_time, format_time

if TYPE_CHECKING:
    from offerlog_application.ports.keys import Key
    from offerlog_infrastructure.presentation import answers


def describe_key(key: Key) -> answers.ApiKey:
    """Describe a key without its secret."""
    return {
        "id": key.id,
        "organization": key.organization,
        "role": key.role.value,
        "name": key.name,
        "origins": list(key.origins),
        "created_at": format_time(key.created_at),
        "expires_at": format_optional_time(key.expires_at),
        "last_used_at": format_optional_time(key.last_used_at),
        "revoked_at": format_optional_time(key.revoked_at),
    }


def describe_new_key(key: Key, text: str) -> answers.NewApiKey:
    """Describe a key that was just made, with its text."""
    return {**describe_key(key), "key": text}
