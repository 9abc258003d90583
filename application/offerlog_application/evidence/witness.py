"""The witness: it cosigns a checkpoint only if its tree begins with the tree that it cosigned before.

Somebody else than the operator of the log runs it. So an operator who rewrites the log cannot get a
cosignature for the new tree. Requests and answers are those of C2SP tlog-witness, with its HTTP statuses.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from offerlog_application.ports.clock import Clock
from offerlog_application.ports.signing import SignatureCheck, Signer
from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError, ProofError, SignatureError
from offerlog_domain.transparency.hashing import EMPTY_ROOT
from offerlog_domain.transparency.notes import VerifierKey
from offerlog_domain.transparency.proofs import check_consistency
from offerlog_domain.transparency.witness_requests import AddCheckpoint


class WitnessStatus(IntEnum):
    """The HTTP status of an answer."""

    COSIGNED = 200
    MALFORMED = 400
    """Not a request, or its old size is greater than that of the checkpoint."""

    NOT_SIGNED = 403
    """No known key of the log has signed, or a signature is false."""

    UNKNOWN_LOG = 404
    BEHIND = 409
    """The old size is not the one that the witness knows; the answer is that size."""

    INCONSISTENT = 422
    """Another root for the size that the witness knows, or the proof does not fit."""


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """The answer of a witness.

    Attributes:
        status: What became of the request.
        text: The cosignature line; the size that the witness knows; or what is wrong.
        is_fork: True if the log has signed two roots for the same number of events. A proof that does not fit
            says nothing of the log: anybody can send one with a checkpoint that is public.
    """

    status: WitnessStatus
    text: str
    is_fork: bool = False


class WitnessMemory(Protocol):
    """The memory of a witness. It outlives the process: one that forgets could cosign a second history."""

    def latest(self, origin: str) -> SignedCheckpoint | None:
        """Return the last checkpoint of a log that was cosigned; None if there is none."""

    def keep(self, signed: SignedCheckpoint) -> None:
        """Replace the last checkpoint of a log. When this returns, the checkpoint is on the disk."""

    def keep_refused(self, request: AddCheckpoint) -> None:
        """Keep a request whose checkpoint has another root than the cosigned one of the same size."""


_EMPTY: Final = (0, EMPTY_ROOT)
"""Size and root of a tree without events, which every tree begins with."""


class Witness:
    """A witness of some logs; thread-safe.

    Args:
        logs: The keys of the logs. The name of a key is the name of its log.
        signer: The witness's own key.
        memory: What it has cosigned. No other process may use it.
        check: Checks signatures.
        clock: Its clock.
    """

    def __init__(
        self,
        logs: Sequence[VerifierKey],
        signer: Signer,
        memory: WitnessMemory,
        check: SignatureCheck,
        clock: Clock,
    ) -> None:
        keys: dict[str, list[VerifierKey]] = {}
        for key in logs:
            keys.setdefault(key.name, []).append(key)
        self._keys: Mapping[str, Sequence[VerifierKey]] = keys
        self._signer = signer
        self._memory = memory
        self._check = check
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    def add_checkpoint(self, text: str) -> WitnessAnswer:
        """Answer a request: cosign the checkpoint, or refuse it.

        Raises:
            OSError: The memory cannot be written. Nothing was cosigned.
        """
        try:
            request = AddCheckpoint.parse(text)
        except NoteError as error:
            return WitnessAnswer(WitnessStatus.MALFORMED, str(error))
        checkpoint = request.signed.checkpoint
        keys = self._keys.get(checkpoint.origin)
        if keys is None:
            return WitnessAnswer(WitnessStatus.UNKNOWN_LOG, f"this witness does not know {checkpoint.origin}")
        if not self._is_signed(request.signed, keys):
            return WitnessAnswer(
                WitnessStatus.NOT_SIGNED, "no known key of the log has signed, or one falsely"
            )
        if request.old > checkpoint.size:
            return WitnessAnswer(
                WitnessStatus.MALFORMED, "the old size is greater than that of the checkpoint"
            )
        with self._one_at_a_time:
            return self._cosign(request)

    def _is_signed(self, signed: SignedCheckpoint, keys: Sequence[VerifierKey]) -> bool:
        try:
            times = [self._check(signed, key) for key in keys]
        except SignatureError:
            return False
        return any(time is not None for time in times)

    def _cosign(self, request: AddCheckpoint) -> WitnessAnswer:
        """Compare with the memory, remember, and only then answer."""
        checkpoint = request.signed.checkpoint
        known = self._memory.latest(checkpoint.origin)
        size, root = (known.checkpoint.size, known.checkpoint.root) if known else _EMPTY
        if request.old != size:
            return WitnessAnswer(WitnessStatus.BEHIND, f"{size}\n")
        try:
            if checkpoint.size == 0:
                check_consistency(checkpoint.size, checkpoint.root, *_EMPTY, request.proof)
            check_consistency(size, root, checkpoint.size, checkpoint.root, request.proof)
        except ProofError as error:
            if checkpoint.size == size and checkpoint.root != root:
                self._memory.keep_refused(request)
                detail = f"{error}; the log has signed both"
                return WitnessAnswer(WitnessStatus.INCONSISTENT, detail, is_fork=True)
            return WitnessAnswer(WitnessStatus.INCONSISTENT, f"the proof is false: {error}")
        cosignature = self._signer.sign(request.signed.note.text, int(self._clock.now().timestamp()))
        note = request.signed.note.signed_too([cosignature])
        self._memory.keep(SignedCheckpoint(checkpoint, note))
        return WitnessAnswer(WitnessStatus.COSIGNED, f"{cosignature}\n")
