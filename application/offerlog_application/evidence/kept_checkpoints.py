"""Read the checkpoints that are kept, in the store and outside of it, and check their signatures."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from offerlog_application.evidence.findings import Finding, FindingKind
from offerlog_application.ports.sealed_tree import KeptCheckpoint
from offerlog_application.ports.signing import SignatureCheck
from offerlog_domain.transparency.checkpoints import Checkpoint, SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.notes import VerifierKey


class TrustedCheckpoint(NamedTuple):
    """A checkpoint that a known key has signed, or any checkpoint where no key is known.

    Attributes:
        checkpoint: The state of the tree that was signed.
        place: The place where it is kept, for people.
        is_outside: True if it is kept outside of the store.
    """

    checkpoint: Checkpoint
    place: str
    is_outside: bool


def read_checkpoints(
    inside: Iterable[KeptCheckpoint],
    outside: Iterable[KeptCheckpoint],
    keys: Sequence[VerifierKey],
    check: SignatureCheck,
) -> tuple[list[TrustedCheckpoint], list[Finding]]:
    """Read all checkpoints and check their signatures.

    Args:
        inside: The checkpoints in the store.
        outside: The checkpoints in a folder outside of the store.
        keys: The keys that may have signed. Without any key, no signature is checked and each readable
            checkpoint is trusted.
        check: Checks the signature of a key.

    Returns:
        The trusted checkpoints, those of the smallest trees first; and a finding for each other one.
    """
    trusted: list[TrustedCheckpoint] = []
    findings: list[Finding] = []
    for is_outside, checkpoints in ((False, inside), (True, outside)):
        for kept in checkpoints:
            try:
                signed = SignedCheckpoint.parse(kept.text)
                signers = [key.name for key in keys if check(signed, key) is not None]
            except NoteError as error:
                findings.append(Finding(FindingKind.CHECKPOINT, f"{kept.place} was changed: {error}"))
                continue
            if keys and not signers:
                names = ", ".join(sorted({one.name for one in signed.note.signatures}))
                findings.append(
                    Finding(
                        FindingKind.CHECKPOINT,
                        f"{kept.place} has no signature of a known key, but of {names}: give --vkey for"
                        f" {names}, beside the other keys, if it was a key of this log",
                    )
                )
                continue
            trusted.append(TrustedCheckpoint(signed.checkpoint, kept.place, is_outside))
    trusted.sort(key=lambda one: one.checkpoint.size)
    return trusted, findings
