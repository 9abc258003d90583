"""Batches of signals that are handed in before earlier ones are answered; their answers come in order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from offerlog_domain.errors import OfferlogError

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.recording.batches import Receipt

_Batch = TypeVar("_Batch")
_Signals = TypeVar("_Signals")
_Answer = TypeVar("_Answer")
_Answer_co = TypeVar("_Answer_co", covariant=True)


def record_in_order(
    service: "Offerlog", batches: "Iterable[tuple[_Batch, Sequence[Any]]]", in_flight: int
) -> "Iterator[tuple[_Batch, Receipt]]":
    """Yield batches with their receipts, in order. If a batch cannot be read, those before it come first.

    Args:
        service: The service to record with.
        batches: Each batch with its signals.
        in_flight: The most batches without an answer: reading continues while earlier ones are written.

    Raises:
        OSError: Reading has failed.
        OfferlogError: Reading has failed, or the store cannot record.
    """
    return answers_in_order(batches, lambda signals: PendingReceipt(service, signals), in_flight)


def answers_in_order(
    batches: "Iterable[tuple[_Batch, _Signals]]",
    submit: "Callable[[_Signals], PendingAnswers[_Answer]]",
    in_flight: int,
) -> "Iterator[tuple[_Batch, _Answer]]":
    """Yield batches with the answers to them, as `record_in_order` does.

    Args:
        batches: Each batch with its signals.
        submit: Hands in the signals of a batch.
        in_flight: The most batches without an answer.

    Raises:
        OSError: Reading has failed.
        OfferlogError: Reading has failed, or the signals cannot be recorded.
    """
    waiting: deque[tuple[_Batch, PendingAnswers[_Answer]]] = deque()
    broken: OSError | OfferlogError | None = None
    reading = iter(batches)
    while True:
        try:
            batch, signals = next(reading)
        except StopIteration:
            break
        except (OSError, OfferlogError) as error:
            broken = error
            break
        waiting.append((batch, submit(signals)))
        if len(waiting) >= in_flight:
            first, pending = waiting.popleft()
            yield first, pending.result()
    while waiting:
        first, pending = waiting.popleft()
        yield first, pending.result()
    if broken is not None:
        raise broken


class PendingAnswers(Protocol[_Answer_co]):
    """Answers that will come."""

    def result(self) -> _Answer_co:
        """Wait for the answers; raise the error if there are none."""


class PendingReceipt:
    """Signals that were handed in as one batch, as soon as there was room for them.

    Args:
        service: The service.
        signals: The signals.
    """

    def __init__(self, service: "Offerlog", signals: Sequence[Any]) -> None:
        self._service = service
        self._future = _submit(service, signals)

    def result(self) -> "Receipt":
        """Wait for the receipt.

        Raises:
            OfferlogError: The signals were not recorded, as with `StoreUnavailableError`, or nobody knows, as
                with `OutcomeUnknownError`.
        """
        return self._service.answer_of(self._future)


def _submit(service: "Offerlog", signals: Sequence[Any]) -> "Future[Receipt]":
    """Hand in signals, as soon as there is room for them."""
    from offerlog_application.recording.submissions import OverloadedError  # noqa: PLC0415 - loaded with the service

    while True:
        try:
            return service.submit(signals)
        except OverloadedError as overloaded:
            time.sleep(overloaded.retry_after)
