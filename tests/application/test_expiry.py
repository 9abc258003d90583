"""What the passing of time brings about."""

from datetime import timedelta
from typing import Any

import pytest

from offerlog_application.recording.expiry import Expired
from support.scenario import signal


def at_once(_: int | None) -> None:
    """The log in memory is its own projection."""


def test_expire_records_what_is_due_once(desk: Any) -> None:
    """Time-outs and parkings are counted apart; what was given up stands in the refusal log as it came."""
    desk.offer("a", timeout_seconds=60)
    desk.record(signal("engaged"), signal("started", "b", customer_id="visitor-2"))
    assert desk.expiry.expire(at_once) == Expired(0, 0, None)
    desk.clock.advance(timedelta(minutes=16))
    assert desk.expiry.expire(at_once) == Expired(1, 2, 6)
    assert [one.reason for one in desk.log.refused] == ["never_reachable"] * 2
    assert signal("engaged").to_json() in {one.raw for one in desk.log.refused}
    assert desk.expiry.expire(at_once) == Expired(0, 0, None)


def test_more_than_one_group_is_ended_in_one_call(desk: Any) -> None:
    """Group by group; none is ended twice."""
    desk.record(*[signal("accepted", customer_id=f"visitor-{n}") for n in range(9)])
    desk.clock.advance(timedelta(minutes=16))
    waited: list[int | None] = []
    assert desk.expiry.expire(waited.append) == Expired(0, 9, 18)
    assert waited == [13, 17, 18]  # what has been ended is due until the projections show it


def test_what_cannot_be_read_keeps_nothing_else_from_its_end(desk: Any, monkeypatch: Any) -> None:
    """A whole group of it, and more, in front of the others; it is tried again the next time."""
    desk.record(*[signal("accepted", customer_id=f"visitor-{n}") for n in range(9)])
    broken, load = list(desk.log.events_of)[:6], desk.log.load

    def loaded(offers: Any) -> Any:
        if not {offer.id for offer in offers}.isdisjoint(broken):
            raise ValueError("a state that nobody can read")
        return load(offers)

    desk.clock.advance(timedelta(minutes=16))
    with monkeypatch.context() as patch:
        patch.setattr(desk.log, "load", loaded)
        assert desk.expiry.expire(at_once).never_reachable == 3
        with pytest.raises(ValueError, match="nobody can read"):
            desk.expiry.expire(at_once)
    assert desk.expiry.expire(at_once).never_reachable == 6


def test_a_projection_that_never_hears_of_it_keeps_nobody_busy(desk: Any, monkeypatch: Any) -> None:
    """It goes on to name what was ended long ago, a whole group of it: the call ends all the same."""
    desk.record(*[signal("accepted", customer_id=f"visitor-{n}") for n in range(9)])
    stale = [desk.log.named[offer_id] for offer_id in desk.log.events_of]
    desk.clock.advance(timedelta(minutes=16))
    desk.expiry.expire(at_once)

    def due(*, limit: int, besides: Any, **_: object) -> Any:
        return [one for one in stale if one not in besides][:limit]

    monkeypatch.setattr(desk.log, "due", due)
    assert desk.expiry.expire(at_once) == Expired(0, 0, None)
