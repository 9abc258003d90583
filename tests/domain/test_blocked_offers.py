"""Tallies of blocked offers: which offers are counted together, and how many events that makes."""

from datetime import timedelta
from uuid import UUID

from offerlog_domain.blocked_offers import BlockedOffer, count_tallies, tally_blocked
from offerlog_domain.identity import OfferKey
from support.scenario import START


def test_offers_are_counted_together_by_everything_that_reports_tell_apart() -> None:
    """And the number of tallies is known without making them."""
    # given two offers of one tally, and one each that differs from them in one thing
    offer = OfferKey(UUID(int=7), "acme", UUID(int=1), UUID(int=2), None)
    first = BlockedOffer(offer, "already_open", START, START, "webchat", 3)
    offers = [
        first,
        first._replace(at=START + timedelta(minutes=14), offer=offer._replace(visitor_digest=UUID(int=9))),
        first._replace(offer=offer._replace(organization="other")),
        first._replace(offer=offer._replace(action_map_id=UUID(int=8))),
        first._replace(reason="terminal_state"),
        first._replace(at=START + timedelta(minutes=15)),
        first._replace(media_type=None),
        first._replace(action_map_version=4),
    ]
    # when
    tallies = tally_blocked(offers)
    # then
    assert [one.blocked for one in tallies] == [2, 1, 1, 1, 1, 1, 1]
    assert count_tallies(offers) == len(tallies)
    assert (tally_blocked([]), count_tallies([])) == ([], 0)
