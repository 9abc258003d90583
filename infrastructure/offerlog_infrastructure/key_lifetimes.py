"""The end of a new key, as people write it: a length of time from now, or a time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_LENGTH: Final = re.compile(r"([0-9]{1,5})(h|d|w)")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def read_expiry(text: str, now: datetime) -> datetime:
    """Return when a key that is made now expires.

    Args:
        text: So many hours, days or weeks, such as `90d`; or a date or a time, in UTC without an offset.
        now: The current time, with an offset.

    Raises:
        ValueError: The text is none of these, or the time has passed.
    """
    counted = _LENGTH.fullmatch(text)
    try:
        if counted is not None:
            expires_at = now + int(counted[1]) * _UNITS[counted[2]]
        else:
            expires_at = datetime.fromisoformat(text)
            has_offset = expires_at.tzinfo is not None
            expires_at = expires_at.astimezone(UTC) if has_offset else expires_at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not an end: give 12h, 90d, 52w, 2027-03-01 or 2027-03-01T10:00:00Z"
        ) from None
    if expires_at <= now:
        raise ValueError(f"{text!r} has passed: a key expires in the future")
    return expires_at
