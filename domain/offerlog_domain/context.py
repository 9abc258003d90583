"""The tenant, the time and the rules of one decision."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """The periods that an operator may set.

    Attributes:
        open_action_ttl: How long a silent open action blocks another one.
        parking_time: How long a parked signal waits, by the service's clock.
        deadline_grace: How long after a time-out the service itself records it.
        future_tolerance: How far ahead of the service's clock a signal may be.
        widget_max_age: How far behind the service's clock a signal from a widget key may be.
    """

    open_action_ttl: timedelta = timedelta(minutes=30)
    parking_time: timedelta = timedelta(minutes=15)
    deadline_grace: timedelta = timedelta(minutes=15)
    future_tolerance: timedelta = timedelta(minutes=5)
    widget_max_age: timedelta = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Tenant, current time (UTC) and rules of one decision.

    Attributes:
        organization: The tenant.
        now: The service's clock, aware, UTC.
        rules: The periods that an operator may set.
        from_widget: Whether the signals come from a widget key, which anybody may hold.
    """

    organization: str
    now: datetime
    rules: Rules = field(default_factory=Rules)
    from_widget: bool = False
