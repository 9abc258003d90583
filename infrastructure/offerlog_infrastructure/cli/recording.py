"""Batches of lines on their way into the log: who records them, and what became of them."""

import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.cli.batches_in_order import PendingAnswers, PendingReceipt
from offerlog_infrastructure.cli.output import json_line
from offerlog_infrastructure.presentation.documents import describe_outcome

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.positions import LogPosition
    from offerlog_application.recording.batches import Receipt
    from offerlog_domain.outcomes import Outcome
    from offerlog_infrastructure.cli.lines import Line

Tally = Counter[tuple[str, str | None]]
"""The number of signals by outcome and reason."""


class RecordingProcessError(OfferlogError):
    """A process that records has died.

    Attributes:
        pid: Its process id.
        code: Its exit code, or the negative number of the signal that killed it.
    """

    def __init__(self, name: str, pid: int, code: int) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        super().__init__(
            f"{name} ({pid}) {how}; what was answered is recorded, and sending the input again is safe"
        )
        self.pid = pid
        self.code = code


class RecordedBatch(NamedTuple):
    """The result of one batch, which is durable.

    Attributes:
        position: Up to where a projection must be to show it; None if nothing was appended.
        tally: The number of its signals by outcome and reason.
        lines: A line of JSON for each signal, in input order; empty if nobody wants them.
    """

    position: "LogPosition | None"
    tally: Mapping[tuple[str, str | None], int]
    lines: Sequence[str]


class BatchRecorder(Protocol):
    """Records batches, in the order in which they are submitted.

    Attributes:
        in_flight: The most batches without an answer: reading continues while earlier ones are written.
    """

    in_flight: int

    def submit(
        self, batch: "Sequence[Line]", file: str | None, *, described: bool
    ) -> "PendingAnswers[RecordedBatch]":
        """Begin to record a batch.

        Args:
            batch: Its lines.
            file: The name of the file for the described outcomes; None to leave it out.
            described: True to describe each outcome.
        """


def describe_batch(
    receipt: "Receipt", numbers: Sequence[int], file: str | None, *, described: bool
) -> RecordedBatch:
    """Return the result of a batch.

    Args:
        receipt: The durable outcomes.
        numbers: The numbers of its lines.
        file: As in `BatchRecorder.submit`.
        described: As there.
    """
    tally = Counter(
        (outcome.kind.value, outcome.reason.value if outcome.reason else None) for outcome in receipt.outcomes
    )
    lines = (
        [
            json_line(_describe_line(number, outcome, file)) + "\n"
            for number, outcome in zip(numbers, receipt.outcomes, strict=True)
        ]
        if described
        else []
    )
    return RecordedBatch(receipt.position, tally, lines)


class LocalRecorder:
    """Records in this process."""

    in_flight = 2

    def __init__(self, service: "Offerlog") -> None:
        self._service = service

    def submit(
        self, batch: "Sequence[Line]", file: str | None, *, described: bool
    ) -> "PendingAnswers[RecordedBatch]":
        """Begin to record a batch."""
        pending = PendingReceipt(self._service, [line.text for line in batch])
        return _LocalBatch(pending, [line.number for line in batch], file, described)


class _LocalBatch(NamedTuple):
    pending: PendingReceipt
    numbers: Sequence[int]
    file: str | None
    described: bool

    def result(self) -> RecordedBatch:
        return describe_batch(self.pending.result(), self.numbers, self.file, described=self.described)


def _describe_line(number: int, outcome: "Outcome", file: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"line": number}
    if file is not None:
        entry = {"file": file, **entry}
    return entry | describe_outcome(outcome)
