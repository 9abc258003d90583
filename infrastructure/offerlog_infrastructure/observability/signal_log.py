"""Which signal became what, in the log: by its ids, so that a report can be followed, and by nothing else."""

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from offerlog_domain.outcomes import Outcome, OutcomeKind
from offerlog_domain.wire import STORED_FORM_EVENT_TYPES

_log = logging.getLogger(__name__)

_MOST: Final = 100
"""So many refusals of a batch are named at `info`; the refusal log has all of them."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class _Named(msgspec.Struct, rename="camel"):
    """Where a signal has its id, in either wire form; anything may stand there."""

    event_id: Any = None
    event_type: Any = None
    id: Any = None


_named = msgspec.json.Decoder(_Named)


def note(signals: Sequence[bytes], outcomes: Sequence[Outcome]) -> None:
    """Log the refused signals of a batch, or at `debug` all of it."""
    level = logging.DEBUG if _log.isEnabledFor(logging.DEBUG) else logging.INFO
    named = 0
    for signal, outcome in zip(signals, outcomes, strict=True):
        if outcome.kind is OutcomeKind.REFUSED:
            named += 1
            if named <= _MOST or level == logging.DEBUG:
                _log.info("signal", extra=_told(signal, outcome))
        elif level == logging.DEBUG:
            _log.debug("signal", extra=_told(signal, outcome))
    if named > _MOST and level == logging.INFO:
        _log.info("signals refused, and not named here", extra={"signals": named - _MOST})


def event_id(signal: bytes) -> str | None:
    """A signal's own id, None where it has none that is a UUID; what else stands there may be personal."""
    try:
        named = _named.decode(signal)
    except (msgspec.MsgspecError, RecursionError):
        return None
    stored_form = isinstance(named.event_type, str) and named.event_type in STORED_FORM_EVENT_TYPES
    found = named.id if stored_form else named.event_id
    return found.lower() if isinstance(found, str) and _UUID.fullmatch(found) else None


def _told(signal: bytes, outcome: Outcome) -> dict[str, str | None]:
    """What may be said of it: no cause, as that quotes the signal."""
    return {
        "event_id": event_id(signal),
        "action_id": outcome.action_id,
        "state": outcome.state,
        "outcome": outcome.kind.value,
        "reason": outcome.reason.value if outcome.reason else None,
        "field": outcome.field,
    }
