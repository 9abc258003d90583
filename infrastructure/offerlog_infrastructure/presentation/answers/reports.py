"""Answers about performance: reports, their proofs and live changes."""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from offerlog_infrastructure.presentation.json_types import (
    Count,
    MediaTypeName,
    Position,
    Rate,
    Uuid,
    WallTime,
)


class Metrics(TypedDict):
    """Counts by the vendor's names.

    Attributes:
        nWebActionsOffered: Actions that were offered; visitors, if visitors are counted.
        nWebActionsAccepted: Accepted.
        nWebActionsRejected: Rejected, on the invitation or on the form.
        nWebActionsStarted: Started.
        nWebActionsAbandoned: Abandoned.
        nWebActionsEngaged: Engaged.
        nWebActionsIgnored: Ignored; in the full metric set only.
        nWebActionsErrored: Errored; in the full metric set only.
        nWebActionsTimedout: Timed out; in the full metric set only.
        nWebActionsQualified: Qualified; in the set of all metrics only, as those that follow.
        nWebActionsQualifiedOutsideSchedule: Qualified outside the schedule.
        nWebActionsOfferedOutsideSchedule: Withheld, because the offer would be outside the schedule.
        nWebActionsFrequencyCapReached: Withheld, because the frequency cap was reached.
    """

    nWebActionsOffered: Count
    nWebActionsAccepted: Count
    nWebActionsRejected: Count
    nWebActionsStarted: Count
    nWebActionsAbandoned: Count
    nWebActionsEngaged: Count
    nWebActionsIgnored: NotRequired[Count]
    nWebActionsErrored: NotRequired[Count]
    nWebActionsTimedout: NotRequired[Count]
    nWebActionsQualified: NotRequired[Count]
    nWebActionsQualifiedOutsideSchedule: NotRequired[Count]
    nWebActionsOfferedOutsideSchedule: NotRequired[Count]
    nWebActionsFrequencyCapReached: NotRequired[Count]


class Rates(TypedDict):
    """Rates of an action map in a bucket, not rounded.

    Attributes:
        accepted: Accepted ÷ offered; null where nothing was offered.
        engaged: Engaged ÷ accepted; null where nothing was accepted, and where no media type that is counted
            reaches an agent.
    """

    accepted: Rate | None
    engaged: Rate | None


class Row(TypedDict):
    """An action map in a bucket of a performance report.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        bucket: First instant of the bucket; null for the total.
        metrics: Counts by the vendor's names.
        rates: Rates of these counts.
    """

    action_map_id: Uuid
    action_map_name: str | None
    bucket: WallTime | None
    metrics: Metrics
    rates: Rates


class Proof(TypedDict):
    """Evidence of the events that a projection has applied.

    Attributes:
        projection: Name of the projection.
        position: Log position of the last event applied; of several servers, a text.
        events: Number of events applied.
        digest: Sum of the squares of their positions, in decimal.
        short_by: Events that wait as dead letters and are missing.
    """

    projection: str
    position: Position
    events: Count
    digest: Annotated[str, Meta(pattern=r"^\d+$")]
    short_by: Count


ReportHead = TypedDict(
    "ReportHead",
    {
        "from": WallTime | None,
        "to": WallTime | None,
        "zone": str,
        "by": str,
        "media_type": NotRequired[MediaTypeName],
        "short_by": NotRequired[Count],
        "missing_slices": NotRequired[str],
    },
)
"""Time and grouping of a performance report, and what is missing from it, if anything is."""


class Performance(ReportHead):
    """Action Map Performance report.

    Attributes:
        from: First instant that counts; null for all time.
        to: First instant that does not count any more; null for all time.
        zone: IANA name of the zone whose wall time makes the buckets.
        by: Size of a bucket.
        media_type: The media type of the offers that are counted; left out where it is every one.
        short_by: Events that wait as dead letters and are missing; left out where it is 0.
        missing_slices: Slices of servers that could not be reached, such as `8-f`: their visitors are not
            counted. Only with `partial`, and left out where there are none.
        rows: Sorted by action map, then by bucket.
        proof: Evidence of the events counted, if it was asked for.
    """

    rows: list[Row]
    proof: NotRequired[Proof]


class ChangedRows(TypedDict):
    """Rows of a live report that have changed.

    Attributes:
        position: Log position that the rows show.
        rows: Rows of the full report in total.
    """

    position: Count
    rows: list[Row]


class Change(TypedDict):
    """Server-Sent Event of a live report.

    Attributes:
        event: Name of the event.
        id: Mark of the report, to be sent back as `Last-Event-ID`.
        data: `ChangedRows` as JSON text.
    """

    event: Literal["metrics"]
    id: Annotated[str, Meta(pattern=r"^\d+-\d+-\d+-[0-9a-f]+$")]
    data: Annotated[
        str,
        Meta(
            extra_json_schema={
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/ChangedRows"},
            }
        ),
    ]


class ActionMap(TypedDict):
    """Action map that has been counted.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
    """

    action_map_id: Uuid
    action_map_name: str | None


class ActionMaps(TypedDict):
    """Page of action maps, sorted by id.

    Attributes:
        action_maps: The action maps.
        next_cursor: Where the next page begins; null on the last page.
    """

    action_maps: list[ActionMap]
    next_cursor: str | None
