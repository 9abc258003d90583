"""Answers to a widget key: whether the service has taken a signal, and nothing of the visitor's past.

A widget key stands in public pages, so anybody can ask with it, about any customer id. `recorded`,
`duplicate`, `parked` and the refusals that depend on a visitor-offer all become `received` (docs/decisions,
"A widget key authenticates nobody"). Reasons that follow from the signal alone stay, as its sender can mend
those.
"""

from typing import Final

from offerlog_domain.outcomes import Outcome, OutcomeKind
from offerlog_infrastructure.presentation.documents import Document, outcome_document

RECEIVED: Final = "received"

_REASONS_OF_THE_SIGNAL: Final = frozenset({"malformed", "not_tracked", "from_the_future", "too_old"})


def is_refused_for_itself(outcome: Outcome) -> bool:
    """Whether a signal was refused for what it says, whoever the visitor is."""
    return outcome.kind is OutcomeKind.REFUSED and outcome.reason in _REASONS_OF_THE_SIGNAL


def widget_outcome_document(outcome: Outcome) -> Document:
    """What became of one signal, as the sender of a widget key may know it."""
    if is_refused_for_itself(outcome):
        return outcome_document(outcome)
    return {"outcome": RECEIVED, "reason": None, "action_id": outcome.action_id, "state": outcome.state}
