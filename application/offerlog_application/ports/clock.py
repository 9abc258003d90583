"""The service's clock, as the use cases need it."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The service's clock."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""
