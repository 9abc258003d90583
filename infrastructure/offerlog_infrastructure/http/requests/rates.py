"""Rate limits: buckets of tokens, for each caller."""

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from math import ceil
from typing import Final, Protocol

from offerlog_infrastructure.http.problems import ProblemError

MAX_BUCKETS: Final = 10_000
"""Most buckets in memory. Beyond them the one unused longest is dropped, so that it is full again."""


@dataclass(slots=True)
class Bucket:
    """Tokens of one caller.

    Attributes:
        left: Their number at the time `at`.
        at: Monotonic seconds.
    """

    left: float
    at: float


class TokenBuckets:
    """One bucket of tokens for each caller, in bounded memory.

    Args:
        per_second: Tokens that are added each second.
        burst: Tokens of a full bucket.
        debt: Most tokens that `charge` may take below zero.
    """

    def __init__(self, per_second: float, burst: float, *, debt: float = 0.0) -> None:
        self.per_second = per_second
        self.burst = burst
        self._debt = debt
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def left(self, caller: Hashable) -> float:
        """Return the number of tokens that this caller has now."""
        bucket = self._buckets.get(caller)
        return self.burst if bucket is None else self._filled(bucket, time.monotonic())

    def wait(self, caller: Hashable, count: float = 1.0) -> float:
        """Return the seconds until this caller has so many tokens; 0 if it has them now."""
        return max(0.0, (count - self.left(caller)) / self.per_second)

    def take(self, caller: Hashable, count: float = 1.0) -> bool:
        """Take tokens and return True; if there are not enough, take none and return False."""
        bucket = self._bucket(caller)
        if bucket.left < count:
            return False
        bucket.left -= count
        return True

    def charge(self, caller: Hashable, count: float) -> None:
        """Take tokens even if there are not enough, for work that has been done already."""
        bucket = self._bucket(caller)
        bucket.left = max(bucket.left - count, -self._debt)

    def _bucket(self, caller: Hashable) -> Bucket:
        now = time.monotonic()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = Bucket(self.burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            bucket.left, bucket.at = self._filled(bucket, now), now
            self._buckets.move_to_end(caller)
        return bucket

    def _filled(self, bucket: Bucket, now: float) -> float:
        return min(bucket.left + max(0.0, now - bucket.at) * self.per_second, self.burst)


class BucketMaker(Protocol):
    """A maker of token buckets: for this process alone, or for all processes of a service."""

    def __call__(self, name: str, per_second: float, burst: float, debt: float = 0.0) -> TokenBuckets:
        """Make the buckets with a name. The other arguments are those of `TokenBuckets`."""


def make_buckets(name: str, per_second: float, burst: float, debt: float = 0.0) -> TokenBuckets:
    """Make token buckets for this process alone."""
    del name
    return TokenBuckets(per_second, burst, debt=debt)


def rate_limited(detail: str, wait: float) -> ProblemError:
    """Build the problem 429, with the seconds to wait."""
    return ProblemError("rate-limited", detail, headers={"Retry-After": str(max(1, ceil(wait)))})


class WidgetRates:
    """Rates of widget keys: one bucket for each key, and one for each peer address that uses it.

    A widget key is public, and all visitors of a site share its rate. So that one peer cannot use it up, a
    peer has a far lower rate than the key. While the key's bucket is less than half full, a peer that has
    used half of its own bucket waits.

    Args:
        per_second: Requests per second of one key; a burst may have twice as many.
        peer_per_second: Requests per second of one key from one peer; a burst may have four times as many.
        make: Makes the buckets.
    """

    def __init__(self, per_second: float, peer_per_second: float, make: BucketMaker = make_buckets) -> None:
        self._keys = make("widget keys", per_second, 2 * per_second)
        burst = max(1.0, 4 * peer_per_second)
        self._peers = make("widget peers", peer_per_second, burst, 2 * burst)

    def take(self, key_id: str, peer: str) -> None:
        """Take a token for one request.

        Raises:
            ProblemError: 429, with the seconds to wait.
        """
        caller = key_id, peer
        if wait := self._peers.wait(caller):
            raise rate_limited("too many requests with this key from this address", wait)
        is_scarce = self._keys.left(key_id) < self._keys.burst / 2
        if is_scarce and self._peers.left(caller) < self._peers.burst / 2:
            half = self._peers.wait(caller, self._peers.burst / 2)
            raise rate_limited("too many requests with this key", half)
        if not self._keys.take(key_id):
            raise rate_limited("too many requests with this key", self._keys.wait(key_id))
        self._peers.take(caller)

    def charge(self, key_id: str, peer: str, lines: int) -> None:
        """Charge a peer for lines that were refused by their content: each costs as much as a request."""
        self._peers.charge((key_id, peer), lines)
