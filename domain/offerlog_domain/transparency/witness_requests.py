"""The request that a log sends to a witness (C2SP tlog-witness, `add-checkpoint`)."""

from dataclasses import dataclass
from typing import Final, Self

from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.notes import decode_base64, encode_base64, read_number

_OLD: Final = "old "
_MOST_HASHES: Final = 63


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A new checkpoint, and the proof that its tree begins with the tree that the witness knows.

    Attributes:
        old: Number of leaves of the tree that the witness knows; 0 if it knows none.
        proof: The proof of consistency (RFC 6962, section 2.1.2); empty if `old` is 0.
        signed: The new checkpoint.
    """

    old: int
    proof: tuple[bytes, ...]
    signed: SignedCheckpoint

    def __str__(self) -> str:
        return "\n".join([f"{_OLD}{self.old}", *map(encode_base64, self.proof), "", str(self.signed)])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a request.

        Raises:
            NoteError: It is not one, or has more than 63 hashes.
        """
        head, separator, checkpoint = text.partition("\n\n")
        first, *lines = head.split("\n")
        if not separator or not first.startswith(_OLD):
            raise NoteError("a request begins with the line `old SIZE`")
        if len(lines) > _MOST_HASHES:
            raise NoteError(f"a proof of consistency has at most {_MOST_HASHES} hashes, not {len(lines)}")
        proof = tuple(map(decode_base64, lines))
        if any(len(one) != HASH_BYTES for one in proof):
            raise NoteError(f"a proof is made of hashes of {HASH_BYTES} bytes")
        return cls(read_number(first.removeprefix(_OLD)), proof, SignedCheckpoint.parse(checkpoint))
