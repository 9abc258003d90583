"""What a caller is told of a submission that was divided among shards, and of which several parts failed."""

from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from offerlog_application.ports.event_log import OutcomeUnknownError, StoreUnavailableError
from offerlog_application.ports.shards import PartlyRecordedError
from offerlog_application.sharding.divided_writer import _Origin, _Part, _Submitted

_AWAY = StoreUnavailableError("the server is away")
_UNKNOWN = OutcomeUnknownError("7")


def _error_of(errors: Sequence[BaseException | None]) -> BaseException | None:
    parts = {number: _Part() for number in range(len(errors))}
    submitted: _Submitted[object] = _Submitted(Mock(), parts, Mock(), _Origin("default", False, None))
    for part, error in zip(parts.values(), errors, strict=True):
        submitted.note(part, ([], None) if error is None else None, error)
    return submitted.exception(1)


@pytest.mark.parametrize("errors", [(_AWAY, _UNKNOWN), (_UNKNOWN, _AWAY)])
def test_nobody_is_told_that_nothing_was_recorded_where_a_part_may_be(errors: Sequence[Exception]) -> None:
    """Whichever shard is named first."""
    assert _error_of(errors) is _UNKNOWN


def test_a_part_that_is_recorded_is_error_of() -> None:
    """And nothing of the kind where no part is."""
    assert isinstance(_error_of([_AWAY, None]), PartlyRecordedError)
    assert _error_of([_AWAY, _AWAY]) is _AWAY
