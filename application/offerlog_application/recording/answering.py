"""The answers of a group: every submission gets its own, or an error."""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from offerlog_application.ports.event_log import StoreUnavailableError
from offerlog_application.ports.store_trouble import StoreTrouble
from offerlog_application.recording.submission import Submission
from offerlog_application.recording.writer_errors import WriterFailedError
from offerlog_domain.decision import Decision

_LATE: Final = 1.0
"""Submissions whose patience ends within this time of the first one's are given up with it."""

_log = logging.getLogger(__name__)


def answer_all(group: Sequence[Submission], decisions: list[Decision], position: int | None) -> int:
    """Give every caller its answer; an answer, or a callback, that fails harms no other.

    Returns:
        The number of callbacks that asked the thread to end.
    """
    incidents = start = 0
    for submission in group:
        end = start + len(submission.commands)
        try:
            _answer(submission, decisions[start:end], position)
        except BaseException as error:  # noqa: BLE001 - somebody asks this thread to end; the others still wait
            incidents += 1
            _log.exception("a callback of a submission failed")
            if not submission.done():
                fail([submission], WriterFailedError(error))
        submission.forget()
        start = end
    return incidents


def _answer(submission: Submission, decisions: Sequence[Decision], position: int | None) -> None:
    try:
        result = submission.answer(decisions, position)
    except Exception as error:  # noqa: BLE001 - belongs to this caller; the others get theirs
        submission.set_exception(error)
    else:
        submission.set_result(result)


def fail_late(part: Sequence[Submission], error: Exception) -> list[Submission]:
    """Fail all that an error concerns; of a lock, those that have waited long enough. The rest remains."""
    rest: list[Submission] = []
    if isinstance(error, StoreUnavailableError) and error.trouble is StoreTrouble.LOCKED:
        late = min(submission.arrived for submission in part) + _LATE
        rest = [submission for submission in part if submission.arrived > late]
    waiting = set(rest)
    fail([submission for submission in part if submission not in waiting], error)
    return rest


def fail(group: Iterable[Submission], error: Exception) -> None:
    """Fail submissions with an error; a callback that fails harms no other."""
    for submission in group:
        try:
            submission.set_exception(error)
        except BaseException:  # noqa: BLE001 - a callback asks this thread to end; the others still wait
            _log.exception("a callback of a submission failed")
        submission.forget()


def halve_or_fail(part: Sequence[Submission], error: Exception) -> list[Sequence[Submission]]:
    """Return the halves of a part that failed, the first one last; a single submission gets the error."""
    if len(part) == 1:
        fail(part, error)
        return []
    half = len(part) // 2
    _log.warning("a group of %d submissions failed (%s): writing its halves apart", len(part), error)
    return [part[half:], part[:half]]
