"""The lags of webhooks over several logs: each log is asked for its part, and the parts add up."""

from collections.abc import Mapping, Sequence

from offerlog_application.ports.positions import SHARD_BITS, by_shard
from offerlog_application.ports.shards import HOME
from offerlog_application.ports.webhooks import WebhookLag

LagInLog = tuple[int, float | None]
"""The events of one log that a webhook has not looked at, and the age of the first in seconds.

None where that event cannot be read.
"""


def positions_in_log(listed: Sequence[WebhookLag], shard: int) -> Sequence[int]:
    """Return the position of each of some webhooks in the log of a shard."""
    return [by_shard(one.endpoint.position).get(shard, shard << SHARD_BITS) for one in listed]


def add_lags(
    listed: Sequence[WebhookLag], others: Mapping[int, Sequence[LagInLog] | None]
) -> Sequence[WebhookLag]:
    """Return webhooks with their lag over all logs.

    Args:
        listed: The webhooks, with their lag in the log of the home.
        others: Their lags in each other log, by number of the shard; None for one that does not answer.
    """
    return [WebhookLag(one.endpoint, *_add_up(one, n, others)) for n, one in enumerate(listed)]


def _add_up(one: WebhookLag, number: int, others: Mapping[int, Sequence[LagInLog] | None]) -> LagInLog:
    lags: dict[int, LagInLog | None] = {HOME: (one.lag_events, one.lag_seconds)}
    lags |= {shard: None if found is None else found[number] for shard, found in others.items()}
    known = [lag for lag in lags.values() if lag is not None]
    ages = [seconds for _, seconds in known if seconds is not None]
    is_whole = len(ages) == len(lags)
    return sum(events for events, _ in known), max(ages) if is_whole else None
