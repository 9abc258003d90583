"""The action maps report: what became of each action map, by media type, and by version with a comparison."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from offerlog_application.ports.offer_reads import MapCounts, MapVersion
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_application.reading.arrow import make_table
from offerlog_application.reading.report_table import tabulate_action_maps
from offerlog_domain.errors import ArgumentError
from offerlog_domain.identity import ActionMapId
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import ACTION_MAPS_RATES, COMPARED_RATES, RATES, Cohort, CountBy, has_rate, rates
from offerlog_domain.rate_differences import RateDifference, Share, rate_difference

if TYPE_CHECKING:
    import pyarrow as pa

ACTION_MAPS_STATES: Final = (
    State.QUALIFIED,
    State.OFFERED,
    State.ACCEPTED,
    State.ENGAGED,
    State.REJECTED,
)
"""The states that the report counts, beside blocked offers, in the order of its columns."""


_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """A version of an action map, compared with another version of the same map and media type.

    Attributes:
        baseline: The other version.
        differences: By each of `COMPARED_RATES`, the rate less that of the baseline. None where there is no
            such rate: a divisor is 0, the media type has no such state, or signals of one action named
            different versions.
    """

    baseline: int
    differences: Mapping[str, RateDifference | None]


@dataclass(frozen=True, slots=True)
class ActionMapsRow:
    """An action map with one media type; in a report by version also with one version.

    Attributes:
        action_map_id: The map.
        media_type: The vendor's `actionMediaType`; None where it is not known.
        version: The version; None where the signals named none, or for all versions.
        action_map_name: Newest known display name of the map.
        counts: Number of actions or visitors by each of `ACTION_MAPS_STATES`, zeros too.
        blocked: Number of blocked offers; None where visitors are counted.
        rates: Every rate of `ACTION_MAPS_RATES`; None for a zero denominator, and where the media type has no
            such state.
        comparison: The comparison with another version; None without one to compare with.
    """

    action_map_id: ActionMapId
    media_type: str | None
    version: int | None
    action_map_name: str | None
    counts: Mapping[State, int]
    blocked: int | None
    rates: Mapping[str, float | None]
    comparison: VersionComparison | None = None


@dataclass(frozen=True, slots=True)
class ActionMapsReport:
    """The action maps report of a range.

    Attributes:
        query: The query.
        by_version: True if each version of a map has a row.
        baseline: The version with which every other is compared; None for the version before.
        position: The position of the log that the report shows.
        rows: Sorted by map, media type and version; the version None, which is not known, comes last.
        short_by: Number of dead-letter events of these maps, in any period: they are not counted.
    """

    query: ReportQuery
    by_version: bool
    baseline: int | None
    position: LogPosition
    rows: Sequence[ActionMapsRow]
    short_by: int = 0

    def to_arrow(self) -> "pa.Table":
        """Return the rows as a table of Arrow, for pandas, Polars and DuckDB.

        Its columns are those of `offerlog export action-maps`. Needs the extra `parquet`, which this call
        loads.

        Raises:
            ExtraMissingError: pyarrow is not installed.
        """
        return make_table(tabulate_action_maps(self))


def blocked_by_row(query: ReportQuery, found: MapCounts) -> Mapping[MapVersion, int]:
    """Return the numbers of blocked offers of the rows; none where visitors are counted.

    Those whose media type is not known count with the only media type of their map, if its actions had one
    alone, at any time: so the months of a year add up to the year.
    """
    if query.count_by is CountBy.VISITORS:
        return {}
    numbers = Counter(dict.fromkeys(found.counts, 0))
    for group, number in found.blocked.items():
        media_type = group.media_type
        if media_type is None:
            known = found.media_types.get(group.action_map_id, frozenset())
            media_type = next(iter(known)) if len(known) == 1 else None
        if query.media_type in {None, media_type}:
            numbers[group._replace(media_type=media_type)] += number
    return numbers


def make_rows(
    query: ReportQuery,
    counts: Mapping[MapVersion, Mapping[State, int]],
    blocked: Mapping[MapVersion, int],
    names: Mapping[ActionMapId, str],
    *,
    compares: bool,
    baseline: int | None,
) -> Sequence[ActionMapsRow]:
    """Return the rows of a report.

    Args:
        query: The query.
        counts: Counts by state.
        blocked: Blocked offers of the rows of which they are counted.
        names: Newest known display names of the maps.
        compares: True to compare versions. Only actions counted at the time of their offer can be: of other
            counts, acceptances need not belong to the offers beside them.
        baseline: The version to compare with; None for the version before that made an offer.
    """
    found = sorted({*counts, *blocked}, key=_place)
    versions: defaultdict[tuple[ActionMapId, str | None], dict[int | None, Mapping[State, int]]] = (
        defaultdict(dict)
    )
    for group in counts:
        versions[group.action_map_id, group.media_type][group.version] = counts[group]
    can_compare = compares and query.cohort is Cohort.OFFERED
    rows: list[ActionMapsRow] = []
    for group in found:
        counted = {state: counts.get(group, {}).get(state, 0) for state in ACTION_MAPS_STATES}
        blocked_here = blocked.get(group)
        if not blocked_here and not any(counted.values()):
            continue
        comparison = None
        if can_compare and group.version is not None:
            others = versions[group.action_map_id, group.media_type]
            comparison = _compare(group.version, group.media_type, others, baseline)
        shown = rates(counted, ACTION_MAPS_RATES, media_types=[group.media_type])
        name = names.get(group.action_map_id)
        rows.append(ActionMapsRow(*group, name, counted, blocked_here, shown, comparison))
    return rows


def check_baseline(baseline: int, counts: Mapping[MapVersion, Mapping[State, int]]) -> None:
    """Check that a version made an offer in some map; that is so if no version made any.

    Raises:
        ArgumentError: Others made offers, and this one none. Says which.
    """
    offering = {
        group.version
        for group, counted in counts.items()
        if group.version is not None and counted.get(State.OFFERED, 0)
    }
    if not offering or baseline in offering:
        return
    named = ", ".join(map(str, sorted(offering)[-_MOST_NAMED:]))
    those = f"the newest {_MOST_NAMED} that did" if len(offering) > _MOST_NAMED else "those that did"
    raise ArgumentError("baseline", f"version {baseline} made no offer there; {those}: {named}")


def _place(group: MapVersion) -> tuple[str, str, bool, int]:
    return group.action_map_id, group.media_type or "", group.version is None, group.version or 0


def _compare(
    version: int,
    media_type: str | None,
    versions: Mapping[int | None, Mapping[State, int]],
    baseline: int | None,
) -> VersionComparison | None:
    """Compare a version with the baseline, or with the version before that made an offer."""
    offering = {one for one, counts in versions.items() if one is not None and counts.get(State.OFFERED, 0)}
    other = max((one for one in offering if one < version), default=None) if baseline is None else baseline
    if other is None or other == version or not {version, other} <= offering:
        return None
    differences: dict[str, RateDifference | None] = {}
    for name in COMPARED_RATES:
        part, whole = RATES[name]
        shares = {one: Share(counts.get(part, 0), counts.get(whole, 0)) for one, counts in versions.items()}
        is_known = has_rate(media_type, name) and _are_shares(shares.values())
        differences[name] = rate_difference(shares[version], shares[other]) if is_known else None
    return VersionComparison(other, differences)


def _are_shares(shares: Iterable[Share]) -> bool:
    """Return False if signals of one action must have named different versions of the map.

    Then a version has more acceptances than offers, and another one has too few.
    """
    return all(share.part <= share.whole for share in shares)
