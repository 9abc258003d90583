"""Answers to analysts: where offers end, what was blocked, how long steps take, who is behind a number."""

from typing import Literal, NotRequired, TypedDict

from offerlog_infrastructure.presentation.json_types import (
    ActivityName,
    Count,
    MediaTypeName,
    Name,
    Position,
    Rate,
    StageName,
    StateName,
    Time,
    Uuid,
    WallTime,
)

ReportRange = TypedDict(
    "ReportRange",
    {
        "from": WallTime | None,
        "to": WallTime | None,
        "zone": str,
        "position": Position,
        "media_type": NotRequired[MediaTypeName],
        "short_by": NotRequired[Count],
    },
)
"""Range of a report, and the position of the log that it shows."""


class _OfMap(TypedDict):
    action_map_id: Uuid
    action_map_name: str | None


class OfferEnds(TypedDict):
    """Number of offers at each end. They add up to the number of offers.

    Attributes:
        engaged: An agent accepted and connected.
        accepted: Accepted, and nothing follows: so ends a content offer.
        abandoned: The visitor closed the window before an agent connected.
        rejected_at_form: The visitor accepted, and cancelled or closed the form.
        rejected_at_invitation: The visitor rejected the invitation.
        ignored: The visitor navigated away.
        timedout: The invitation timed out.
        errored: A widget error prevented the engagement.
        open: Not over, and not lapsed.
        lapsed: Not over, and silent for longer than an open action may be.
    """

    engaged: Count
    accepted: Count
    abandoned: Count
    rejected_at_form: Count
    rejected_at_invitation: Count
    ignored: Count
    timedout: Count
    errored: Count
    open: Count
    lapsed: Count


class FunnelRates(TypedDict):
    """Rates of a funnel, not rounded; null where the divisor is 0 or no media type has such states.

    Attributes:
        accepted: Accepted ÷ offered, as in the performance report.
        engaged: Engaged ÷ accepted, as in the performance report.
        started_of_accepted: Started ÷ accepted.
        engaged_of_started: Engaged ÷ started.
        started_of_offered: Started ÷ offered.
        engaged_of_offered: Engaged ÷ offered.
    """

    accepted: Rate | None
    engaged: Rate | None
    started_of_accepted: Rate | None
    engaged_of_started: Rate | None
    started_of_offered: Rate | None
    engaged_of_offered: Rate | None


class FunnelNumbers(TypedDict):
    """Funnel of the offers made in a range.

    Attributes:
        offered: Offers made.
        accepted: Those that were accepted, whatever came then.
        started: Those of which the chat started.
        engaged: Those that an agent connected to.
        ends: Where they ended.
        rates: Rates of these numbers.
    """

    offered: Count
    accepted: Count
    started: Count
    engaged: Count
    ends: OfferEnds
    rates: FunnelRates


class FunnelRow(_OfMap, FunnelNumbers):
    """Funnel of an action map.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        offered: Offers made.
        accepted: Those that were accepted, whatever came then.
        started: Those of which the chat started.
        engaged: Those that an agent connected to.
        ends: Where they ended.
        rates: Rates of these numbers.
    """


class Funnel(ReportRange):
    """Of the offers made in a range: how far they came, and where they ended.

    Attributes:
        from: First instant that counts; null for all time.
        to: First instant that does not count any more; null for all time.
        zone: IANA name of the zone.
        position: Log position that the funnel shows.
        media_type: The media type of the offers; left out where it is every one.
        short_by: Events that wait as dead letters and are missing; left out where it is 0.
        as_of: The minute as of which open and lapsed offers are told apart.
        total: All action maps together.
        rows: By action map, sorted by id.
    """

    as_of: Time
    total: FunnelNumbers
    rows: list[FunnelRow]


class BlockedNumbers(TypedDict):
    """Number of blocked offers.

    Attributes:
        blocked: Blocked offers, all of them.
        remembered: Those of them whose action id was named, so that the log remembers visitor and session.
        visitors: Distinct visitors of remembered offers.
        sessions: Distinct sessions of remembered offers; null where they were not counted.
    """

    blocked: Count
    remembered: Count
    visitors: Count
    sessions: Count | None


class BlockedReason(BlockedNumbers):
    """Number of blocked offers for one reason.

    Attributes:
        blocked: Blocked offers, all of them.
        remembered: Those of them whose action id was named, so that the log remembers visitor and session.
        visitors: Distinct visitors of remembered offers.
        sessions: Distinct sessions of remembered offers; null where they were not counted.
        reason: The code of the offer rule, or the vendor's `blockingReason`.
    """

    reason: str


class BlockedRow(_OfMap, BlockedReason):
    """Number of blocked offers of one action map for one reason.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        blocked: Blocked offers, all of them.
        remembered: Those of them whose action id was named, so that the log remembers visitor and session.
        visitors: Distinct visitors of remembered offers.
        sessions: Distinct sessions of remembered offers; null where they were not counted.
        reason: The code.
    """


class BlockedOffers(ReportRange):
    """Offers that were not made, because an earlier action stood against them, or the vendor blocked them.

    Attributes:
        from: First instant that counts; null for all time.
        to: First instant that does not count any more; null for all time.
        zone: IANA name of the zone.
        position: Log position that the counts show.
        media_type: The media type of the offers; left out where it is every one, known or not.
        unknown_media_type: Blocked offers of the range and maps whose media type is not known: they are not
            in the other numbers. The field is left out where every media type counts.
        short_by: Events that wait as dead letters and are missing; left out where it is 0.
        total: All of them.
        reasons: By reason, the most frequent first.
        rows: By action map and reason: sorted by id, then the most frequent reason first.
    """

    unknown_media_type: NotRequired[Count]
    total: BlockedNumbers
    reasons: list[BlockedReason]
    rows: list[BlockedRow]


class StepTimes(TypedDict):
    """Seconds from the offer to a step.

    Attributes:
        actions: Actions that took the step.
        median: Half of them took at most so long; null without any.
        p90: Nine of ten took at most so long; null without any.
    """

    actions: Count
    median: float | None
    p90: float | None


class TimesOfSteps(TypedDict):
    """Seconds from the offer to each step.

    Attributes:
        accepted: To the acceptance of the invitation.
        started: To the start of the chat.
        engaged: To the agent who connected.
    """

    accepted: StepTimes
    started: StepTimes
    engaged: StepTimes


class TimesRow(_OfMap, TimesOfSteps):
    """Seconds from the offer to each step, of an action map.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        accepted: To the acceptance of the invitation.
        started: To the start of the chat.
        engaged: To the agent who connected.
    """


class OfferTimes(ReportRange):
    """Seconds from the offer to each step, of the offers made in a range.

    Attributes:
        from: First instant that counts; null for all time.
        to: First instant that does not count any more; null for all time.
        zone: IANA name of the zone.
        position: Log position that the times show.
        media_type: The media type of the offers; left out where it is every one.
        short_by: Events that wait as dead letters and are missing; left out where it is 0.
        method: `exact`: by sorting all times.
        total: All action maps together.
        rows: By action map, sorted by id; maps without an accepted offer are left out.
    """

    method: Literal["exact"]
    total: TimesOfSteps
    rows: list[TimesRow]


class ListedOffer(TypedDict):
    """An action behind a number of a report.

    Attributes:
        customer_id: The visitor.
        customer_id_type: What kind of id that is.
        action_map_id: The action map.
        action_number: Number of the action for this visitor and map, from 1.
        state: The state now.
        at: When it reached the state that the number counts.
        offered_at: When it was offered.
    """

    customer_id: Name
    customer_id_type: Name
    action_map_id: Uuid
    action_number: Count
    state: StateName
    at: Time
    offered_at: Time


class OffersBehind(TypedDict):
    """Page of the offers behind a number of a report.

    Attributes:
        count: The number. Offers of visitors who were erased are counted, and not listed.
        position: Log position that number and page show.
        items: The offers.
        next_cursor: Where the next page begins; null on the last page.
    """

    count: Count
    position: Position
    items: list[ListedOffer]
    next_cursor: str | None


class OfferOfVisitor(_OfMap):
    """An action map for a visitor, as it is now.

    Attributes:
        action_map_id: The action map.
        action_map_name: Its newest known display name.
        state: State of the newest action.
        stage: Stage at which the visitor rejected: `invitation` or `form`.
        since: When it reached that state.
        actions: Offers that were made.
        suppressed: A terminal state keeps the map from offering to the visitor now.
        blocked_offers: Refused offers that the log remembers.
    """

    state: StateName
    stage: StageName | None
    since: Time
    actions: Count
    suppressed: bool
    blocked_offers: Count


class OffersOfVisitor(TypedDict):
    """Page of all action maps of a visitor.

    Attributes:
        customer_id: The visitor.
        customer_id_type: What kind of id that is.
        known: False if no event, refused signal or counted blocked offer of the visitor is held.
        items: The action maps, sorted by id.
        next_cursor: Where the next page begins; null on the last page.
    """

    customer_id: Name
    customer_id_type: Name
    known: bool
    items: list[OfferOfVisitor]
    next_cursor: str | None


class RecentVisitor(_OfMap):
    """A visitor with the newest event.

    Attributes:
        action_map_id: The action map of the event.
        action_map_name: Its newest known display name.
        customer_id: The visitor.
        customer_id_type: What kind of id that is.
        event: The kind of the event: a state, `offer-refused` or `signal-parked`.
        state: State of the visitor-offer after it; null for a parked signal.
        occurred_at: When it happened.
        recorded_at: When it was recorded.
        position: Position of the event in the log.
    """

    customer_id: Name
    customer_id_type: Name
    event: ActivityName
    state: StateName | None
    occurred_at: Time
    recorded_at: Time
    position: Count


class RecentVisitors(TypedDict):
    """Page of the visitors with the newest events, the newest first.

    Attributes:
        position: Position of the newest event that the list knows; 0 in an empty log.
        items: The visitors. A page may have fewer than `limit`, even none, where others follow.
        next_cursor: Where the next page begins; null on the last page.
    """

    position: Position
    items: list[RecentVisitor]
    next_cursor: str | None
