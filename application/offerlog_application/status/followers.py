"""The assessments about those who follow the log: readers of the feed, webhooks and witnesses."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from offerlog_application.ports.store_figures import StoredCheckpoint, StoreFigures
from offerlog_application.ports.webhooks import DisableReason, WebhookLag
from offerlog_application.status.assessments import of_figures
from offerlog_application.status.levels import (
    Assessment,
    attention,
    format_period,
    is_over,
    well,
)
from offerlog_application.status.observation import Observation
from offerlog_application.wording import format_count

SUBSCRIPTION_LIMIT: Final = timedelta(hours=25)
"""Age of what a reader of the feed has not acknowledged, above which one that runs each night was missed."""

WEBHOOK_LIMIT: Final = timedelta(hours=1)
"""Age of what was not sent to a webhook, and time for which every attempt may fail."""

WITNESS_LIMIT: Final = timedelta(minutes=30)
"""Age of a checkpoint without a cosignature: services ask every half minute."""

_MOST_LISTED: Final = 3


def _assess_subscriptions(figures: StoreFigures, _: Observation) -> Assessment:
    late = [one for one in figures.subscriptions if is_over(one.lag_seconds, SUBSCRIPTION_LIMIT)]
    if not late:
        worst = max((one.lag_seconds or 0 for one in figures.subscriptions), default=None)
        if worst is None:
            return well("none")
        return well(f"{len(figures.subscriptions):,}, at most {format_period(worst)} behind")
    return attention(
        _list(
            f"{one.name} of {one.organization} {_format_lag(one.lag_seconds)}"
            f" ({format_count(one.lag_events, 'event')})"
            for one in late
        ),
        "start its reader, or look why it cannot keep up; `offerlog events subscriptions` lists all,"
        " and with --delete NAME forgets one that nobody reads",
    )


def _assess_webhooks(figures: StoreFigures, seen: Observation) -> Assessment:
    wrong = [trouble for one in figures.webhooks if (trouble := _find_trouble(one, seen)) is not None]
    if wrong:
        return attention(
            _list(wrong),
            "look at the receiver; `offerlog webhooks show ID` has its last answers, `send-again` sends dead"
            " letters, `enable` goes on after a disabling",
        )
    if not figures.webhooks:
        return well("none")
    worst = max((one.lag_seconds or 0 for one in figures.webhooks if _is_enabled(one)), default=0.0)
    return well(f"{len(figures.webhooks):,}, at most {format_period(worst)} behind")


def _find_trouble(one: WebhookLag, seen: Observation) -> str | None:
    """Return the trouble of a webhook in words; None if there is none, or somebody has disabled it."""
    endpoint = one.endpoint
    name = f"{endpoint.id} of {endpoint.organization}"
    if endpoint.disabled_because is DisableReason.OPERATOR:
        return None
    if endpoint.disabled_because is not None:
        return f"{name} is disabled ({endpoint.disabled_because})"
    if endpoint.dead_letters:
        return f"{name} has {format_count(endpoint.dead_letters, 'dead letter')}"
    if endpoint.failing_since is not None and seen.at - endpoint.failing_since > WEBHOOK_LIMIT:
        return f"{name} fails since {format_period((seen.at - endpoint.failing_since).total_seconds())}"
    return _find_delay(name, one.lag_seconds)


def _find_delay(name: str, seconds: float | None) -> str | None:
    if seconds is None:
        return f"the lag of {name} is not known, as an event or a server cannot be read"
    return f"{name} is {format_period(seconds)} behind" if is_over(seconds, WEBHOOK_LIMIT) else None


def _is_enabled(one: WebhookLag) -> bool:
    return one.endpoint.disabled_because is None


def _assess_witness(figures: StoreFigures, seen: Observation) -> Assessment:
    if not figures.signed:
        return well("no checkpoint was signed")
    signed = [one for one in figures.signed if one.origin == figures.signed[0].origin]
    names = set(seen.witnesses) or set[str]().union(*(one.cosigners for one in signed))
    if not names:
        return well("not set up: the settings name no witness, and none has cosigned")
    since = {name: _find_first_without(signed, name) for name in sorted(names)}
    late = {
        name: (seen.at - one.signed_at).total_seconds()
        for name, one in since.items()
        if one is not None and seen.at - one.signed_at > WITNESS_LIMIT
    }
    if not late:
        waiting = [name for name, one in since.items() if one is not None]
        done = ", ".join(name for name in since if name not in waiting) or "nobody"
        return well(f"cosigned by {done}" + (f", not yet by {', '.join(waiting)}" if waiting else ""))
    return attention(
        _list(
            f"{one} has not cosigned what was signed {format_period(age)} ago" for one, age in late.items()
        ),
        "it is down, or says that the log was rewritten: the log of the service has its answer",
    )


def _find_first_without(signed: Sequence[StoredCheckpoint], name: str) -> StoredCheckpoint | None:
    """Return the oldest checkpoint behind the last one that a witness has cosigned; None if there is none."""
    first = None
    for one in signed:  # the newest first
        if name in one.cosigners:
            break
        first = one
    return first


def _format_lag(seconds: float | None) -> str:
    return "unreadable" if seconds is None else format_period(seconds)


def _list(troubles: Iterable[str]) -> str:
    found = list(troubles)
    more = len(found) - _MOST_LISTED
    return "; ".join(found[:_MOST_LISTED]) + (f"; and {more:,} more" if more > 0 else "")


assess_subscriptions: Final = of_figures(_assess_subscriptions)
assess_webhooks: Final = of_figures(_assess_webhooks)
assess_witness: Final = of_figures(_assess_witness)
