"""The tenant, the time and the rules of one decision."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rules:
    """The periods that an operator may set.

    Attributes:
        open_action_ttl: Time for which a silent open action blocks another one.
        parking_time: Time for which a parked signal waits, by the service's clock.
        deadline_grace: Time from a time-out until the service itself records it.
        future_tolerance: Time by which a signal may be ahead of the service's clock.
        widget_max_age: Greatest age of a signal from a widget key, by the service's clock.
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
        from_widget: True if the signals come with a widget key, which anybody may hold.
    """

    organization: str
    now: datetime
    rules: Rules = field(default_factory=Rules)
    from_widget: bool = False
