"""The port to the service's clock."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The service's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
