"""The port to keys that sign checkpoints, and to the check of signatures."""

from typing import Protocol

from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.notes import NoteSignature, VerifierKey


class Signer(Protocol):
    """A key that signs checkpoints: that of a log, or that of a witness."""

    @property
    def key(self) -> VerifierKey:
        """The public part of the key."""

    def sign(self, text: str, time: int) -> NoteSignature:
        """Sign the text of a checkpoint.

        Args:
            text: The text, with the newline at its end.
            time: Seconds since 1970. A plain Ed25519 key does not sign it.
        """


class SignatureCheck(Protocol):
    """The check of signatures."""

    def __call__(self, signed: SignedCheckpoint, key: VerifierKey) -> int | None:
        """Return the time that a key has signed, 0 without one; None if the key has not signed.

        Raises:
            SignatureError: A signature of this key is false.
        """
