"""Answer of the action maps report: each map by media type, and its versions compared."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from offerlog_domain.metrics import Cohort, CountBy
from offerlog_infrastructure.presentation.answers.analysis import ReportRange
from offerlog_infrastructure.presentation.json_types import Count, Integer, MediaTypeName, Rate, Uuid

Difference = Annotated[float, Meta(ge=-1, le=1)]
"""A difference of two rates, as a fraction of 1."""

_CohortName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Cohort]})]
_UnitName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in CountBy]})]


class RateDifference(TypedDict):
    """A rate less the same rate of another version, with its 95 % interval, as fractions of 1.

    Attributes:
        difference: The difference.
        low: Lower limit of the interval: Newcombe's hybrid score interval, without rounding.
        high: Upper limit of the interval.
        excludes_zero: True if the interval lies on one side of 0.
        in_words: The difference in percentage points, and what the interval says of it.
    """

    difference: Difference
    low: Difference
    high: Difference
    excludes_zero: bool
    in_words: str


class VersionComparison(TypedDict):
    """Rates of a version, compared with another version of the same map and media type.

    A rate is null where there is nothing to compare: a divisor is 0, the media type has no such state, or
    signals of one action have named different versions.

    Attributes:
        baseline: The other version.
        accepted: Accepted ÷ offered.
        engaged: Engaged ÷ accepted.
        engaged_of_offered: Engaged ÷ offered.
    """

    baseline: Integer
    accepted: RateDifference | None
    engaged: RateDifference | None
    engaged_of_offered: RateDifference | None


class ActionMapsRates(TypedDict):
    """Rates of a row, not rounded; null where the divisor is 0, or the media type has no such state.

    Attributes:
        offered: Offered ÷ qualified. It exceeds 1 where offers were made without a `qualified` before them.
        accepted: Accepted ÷ offered.
        engaged: Engaged ÷ accepted.
        engaged_of_offered: Engaged ÷ offered.
    """

    offered: Rate | None
    accepted: Rate | None
    engaged: Rate | None
    engaged_of_offered: Rate | None


class ActionMapsRow(TypedDict):
    """An action map with one media type; by version, also with one version.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        media_type: The media type of the offers; null where it is not known.
        action_map_version: The version; null where the signals named none. Only by version.
        qualified: Times that the map qualified.
        blocked: Blocked offers; null where visitors are counted.
        offered: Offers made.
        accepted: Acceptances.
        engaged: Chats that an agent connected to.
        rejected: Rejections, of the invitation and of the form.
        rates: Rates of these numbers.
        comparison: Comparison with another version; null without one to compare with. Only by version.
    """

    action_map_id: Uuid
    action_map_name: str | None
    media_type: MediaTypeName | None
    action_map_version: NotRequired[Integer | None]
    qualified: Count
    blocked: Count | None
    offered: Count
    accepted: Count
    engaged: Count
    rejected: Count
    rates: ActionMapsRates
    comparison: NotRequired[VersionComparison | None]


class ActionMapsReport(ReportRange):
    """Each action map by media type, or also by version, with a comparison.

    Attributes:
        from: First instant that counts; null for all time.
        to: First instant that does not count any more; null for all time.
        zone: IANA name of the zone.
        position: Log position that the report shows.
        media_type: The media type of the offers; left out where it is every one.
        short_by: Events that wait as dead letters and are missing; left out where it is 0.
        count_by: What is counted: actions, or distinct visitors of each row.
        cohort: The time that counts: `offered`, that of an action's offer, or `event`, that of each event.
        by_version: True if each version of a map has a row.
        baseline: The version that every other is compared with; null for the version before.
        rows: Sorted by id, media type and version; the version null comes last.
    """

    count_by: _UnitName
    cohort: _CohortName
    by_version: bool
    baseline: Integer | None
    rows: list[ActionMapsRow]
