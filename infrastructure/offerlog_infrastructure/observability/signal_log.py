"""Log lines about signals: their ids and their outcomes, and nothing else that they say."""

import logging
from collections.abc import Sequence
from typing import Final

from offerlog_domain.outcomes import Outcome, OutcomeKind

_log = logging.getLogger(__name__)

_MAX_REFUSALS: Final = 100
"""Most refusals of a batch that are logged at `info`; the refusal log has all of them."""


def log_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Log the refused signals of a batch, or at `debug` all of it."""
    level = logging.DEBUG if _log.isEnabledFor(logging.DEBUG) else logging.INFO
    refused = 0
    for outcome in outcomes:
        if outcome.kind is OutcomeKind.REFUSED:
            refused += 1
            if refused <= _MAX_REFUSALS or level == logging.DEBUG:
                _log.info("signal", extra=_fields(outcome))
        elif level == logging.DEBUG:
            _log.debug("signal", extra=_fields(outcome))
    if refused > _MAX_REFUSALS and level == logging.INFO:
        _log.info("signals refused, and not named here", extra={"signals": refused - _MAX_REFUSALS})


def _fields(outcome: Outcome) -> dict[str, str | None]:
    """Return what may be logged of a signal. The cause is for the sender, who knows the signal."""
    return {
        "event_id": outcome.event_id,
        "action_id": outcome.action_id,
        "state": outcome.state,
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value if outcome.reason else None,
        "field": outcome.field,
    }
