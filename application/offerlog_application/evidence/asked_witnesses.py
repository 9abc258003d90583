"""The witnesses that a running service asks. One thread asks each witness, so a slow one delays no other."""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from offerlog_application.schedule.periodic_thread import PeriodicThread

if TYPE_CHECKING:
    from offerlog_application.evidence.evidence import CosigningWitness, Evidence

_LONGEST_PAUSE: Final = 30.0
"""Seconds between two looks for a checkpoint that a witness has not cosigned yet, at most."""

_CLOSING_SECONDS: Final = 1.0
"""Seconds to wait at the end for a thread whose witness does not answer; it ends with the process."""

_log: Final = logging.getLogger(__name__)


class AskedWitnesses:
    """Gets the cosignature of each witness for every newest checkpoint; thread-safe.

    A witness that refuses or cannot be reached is asked again, and logged each time.

    Args:
        evidence: The checkpoints.
        witnesses: The witnesses.
        period: The time between two checkpoints.
    """

    def __init__(
        self, evidence: "Evidence", witnesses: Sequence["CosigningWitness"], period: timedelta
    ) -> None:
        self._evidence = evidence
        self._sizes = {witness.key.name: 0 for witness in witnesses}
        seconds = min(period.total_seconds(), _LONGEST_PAUSE)
        self._threads = [
            PeriodicThread(
                "offerlog-witness",
                seconds,
                lambda thread, one=witness: self._ask(one, thread),  # type: ignore[misc] # bound at once
                f"the witness {witness.key.name} is asked again: %s",
            )
            for witness in witnesses
        ]

    @property
    def cosigned(self) -> Mapping[str, int]:
        """The number of events that each witness has cosigned, by its name, as this process knows it."""
        return dict(self._sizes)

    def close(self) -> None:
        """Stop asking. A request that is on its way is not waited for longer than a moment."""
        for thread in self._threads:
            thread.close(_CLOSING_SECONDS)

    def _ask(self, witness: "CosigningWitness", thread: PeriodicThread) -> None:
        if not self._evidence.has_key:
            return
        newest = self._evidence.newest_checkpoint()
        if newest is None or thread.is_closing:
            return
        if not newest.note.by(witness.key):
            self._evidence.cosign(newest, witness)
            _log.info("the witness %s has cosigned %d events", witness.key.name, newest.checkpoint.size)
        self._sizes[witness.key.name] = newest.checkpoint.size
