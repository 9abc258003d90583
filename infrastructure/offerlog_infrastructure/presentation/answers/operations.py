"""Answers about the service itself: projections and health."""

from typing import Literal, TypedDict

from offerlog_infrastructure.presentation.json_types import Count, Seconds


class ProjectionProgress(TypedDict):
    """Progress of a projection.

    Attributes:
        projection: Name of the projection.
        position: Log position of the last event applied.
        lag_events: Number of events not applied yet.
        lag_seconds: Age of the oldest of them; 0 without any, null where this build cannot read that event.
    """

    projection: str
    position: Count
    lag_events: Count
    lag_seconds: Seconds | None


class ProjectionStatus(ProjectionProgress):
    """Progress of a projection, with the events that it is missing.

    Attributes:
        projection: Name of the projection.
        position: Log position of the last event applied.
        lag_events: Number of events not applied yet.
        lag_seconds: Age of the oldest of them; 0 without any, null where this build cannot read that event.
        short_by: Events that wait as dead letters and are missing.
    """

    short_by: Count


class Projections(TypedDict):
    """Progress of every projection.

    Attributes:
        projections: Sorted by name.
    """

    projections: list[ProjectionStatus]


class Alive(TypedDict):
    """Answer of a process that runs.

    Attributes:
        status: Always `ok`.
    """

    status: Literal["ok"]


class Ready(TypedDict):
    """Answer of a service that can serve.

    Attributes:
        status: Always `ok`.
        lag_seconds: Lag of the slowest projection.
        waits_for: Trouble of the store that the service is waiting out.
    """

    status: Literal["ok"]
    lag_seconds: Seconds
    waits_for: str | None
