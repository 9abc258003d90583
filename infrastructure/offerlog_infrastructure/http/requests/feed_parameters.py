"""Parameters of the feed and of its subscriptions."""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Path, Query

from offerlog_application.feed.filters import FeedFilter
from offerlog_application.feed.kinds import KINDS_BY_NAME
from offerlog_application.ports.organizations import NAME_PATTERN
from offerlog_application.ports.positions import LogPosition, parse_position
from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import MediaType
from offerlog_infrastructure.http.problems import malformed
from offerlog_infrastructure.http.requests.report_ranges import maps_of_report

MOST_WAIT_MS: Final = 60_000
"""The longest wait of a long poll, in milliseconds."""

MOST_EVENTS_OF_A_BATCH: Final = 1_000
"""The most events of one answer."""

LATEST: Final = "latest"
"""The cursor of the present end of the log."""

_NAME: Final = {"pattern": f"^{NAME_PATTERN}$"}

FeedCursor = Annotated[
    str | None,
    Query(
        alias="lastEventId",
        description="The cursor of the answer before, or the `id` of the last event that was processed;"
        " `latest` for new events alone. Without it, from the beginning.",
        json_schema_extra={"format": "feed-cursor"},
    ),
]
FeedTimeout = Annotated[
    int,
    Query(
        ge=0,
        le=MOST_WAIT_MS,
        description="Milliseconds to wait for an event if there is none (long poll).",
    ),
]
FeedTypes = Annotated[
    list[str] | None,
    Query(
        alias="type",
        description="Only these types, such as `io.offerlog.offered.v1` or `offered`; may be given again. The"
        " erasure of a visitor comes in any case.",
        json_schema_extra={"items": {"type": "string", "enum": list(KINDS_BY_NAME)}},
    ),
]
FeedMaps = Annotated[
    list[str] | None,
    maps_of_report("Only events of these action maps, by id or unique name; may be given again."),
]
FeedMediaType = Annotated[MediaType | None, Query(description="Only events of offers of this media type.")]
FeedLimit = Annotated[
    int, Query(ge=1, le=MOST_EVENTS_OF_A_BATCH, description="The most events of an answer.")
]
Identified = Annotated[
    bool,
    Query(description="With customer id, session, action and error; for the roles events and admin alone."),
]
SubscriptionOfFeed = Annotated[
    str | None,
    Query(
        alias="subscription",
        description="Begin at the cursor of this subscription, unless lastEventId is given.",
        json_schema_extra=_NAME,
    ),
]
SubscriptionName = Annotated[str, Path(description="Name of the subscription.", json_schema_extra=_NAME)]
AcknowledgedCursor = Annotated[
    str | None,
    Query(
        alias="lastEventId",
        description="Everything up to this cursor was processed; it never moves back. Without it, a new"
        " subscription begins at the beginning of the log, and one that is there stays as it is.",
        json_schema_extra={"format": "feed-cursor"},
    ),
]


def read_cursor(text: str, field: str = "lastEventId") -> LogPosition:
    """Return the position of a cursor.

    Args:
        text: The cursor.
        field: Where it stands in the request.

    Raises:
        ProblemError: 400, it is not a cursor.
    """
    position = parse_position(text)
    if position is None:
        raise malformed(field, f"{text[:64]!r} is not a cursor of the feed")
    return position


def read_filter(
    types: list[str] | None, action_maps: Sequence[str], media_type: MediaType | None
) -> FeedFilter:
    """Build the filter of a request.

    Raises:
        ProblemError: 400, no such type.
    """
    try:
        return FeedFilter.parse(types or (), action_maps, media_type)
    except ArgumentError as error:
        raise malformed("type", str(error).partition(": ")[2]) from None
