"""Outcomes and decisions as a visitor's browser may see them.

A widget key is public, so anybody can send signals with it for any customer id. `recorded`, `duplicate`,
`parked` and the refusals that depend on a visitor-offer all become `received` (docs/decisions, "A widget key
authenticates nobody"). Reasons that follow from the signal alone are shown, because its sender can correct
those. A page that asks for an offer has a visitor token, and learns the reason alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offerlog_domain.outcomes import OfferOutcome, Outcome, OutcomeKind
from offerlog_infrastructure.presentation.documents import describe_offer, describe_outcome
from offerlog_infrastructure.presentation.json_types import RECEIVED

if TYPE_CHECKING:
    from offerlog_infrastructure.presentation import answers

_REASONS_OF_THE_SIGNAL: Final = frozenset({"malformed", "not_tracked", "from_the_future", "too_old"})


def is_refused_by_content(outcome: Outcome) -> bool:
    """Return whether a signal was refused by its content, so that the visitor's past does not matter."""
    return outcome.kind is OutcomeKind.REFUSED and outcome.reason in _REASONS_OF_THE_SIGNAL


def describe_widget_outcome(outcome: Outcome) -> answers.Outcome:
    """Describe the result of one signal as the sender with a widget key may see it."""
    if is_refused_by_content(outcome):
        return describe_outcome(outcome)
    return {"outcome": RECEIVED, "reason": None, "action_id": outcome.action_id, "state": outcome.state}


def describe_offer_to_page(decision: OfferOutcome) -> answers.Decision:
    """Describe the decision about an offer as a page may see it.

    The page learns whether it may invite, and whether an open offer or an earlier answer forbids it. It does
    not learn which state the visitor reached, when, or in which action.
    """
    answer = describe_offer(decision)
    return {**answer, "state": None, "since": None, "blocking_action_id": None}
