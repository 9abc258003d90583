"""Proof files (C2SP tlog-proof): everything that shows, offline, that an entry is in a log."""

from dataclasses import dataclass
from typing import Final, Self

from offerlog_domain.transparency.checkpoints import SignedCheckpoint
from offerlog_domain.transparency.errors import NoteError
from offerlog_domain.transparency.hashing import HASH_BYTES
from offerlog_domain.transparency.notes import decode_base64, encode_base64, read_number
from offerlog_domain.transparency.proofs import check_inclusion

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_EXTRA: Final = "extra "
_INDEX: Final = "index "


@dataclass(frozen=True, slots=True)
class InclusionFile:
    """The proof that an entry is in the tree of a checkpoint.

    Attributes:
        index: The entry, counted from 0.
        hashes: The hashes beside the path, from the leaf to the root.
        signed: The checkpoint.
        extra: Bytes that nothing proves; None for none. offerlog puts the entry there (`leaves`).
    """

    index: int
    hashes: tuple[bytes, ...]
    signed: SignedCheckpoint
    extra: bytes | None = None

    def __str__(self) -> str:
        lines = [_FIRST_LINE]
        if self.extra is not None:
            lines.append(_EXTRA + encode_base64(self.extra))
        lines += [f"{_INDEX}{self.index}", *map(encode_base64, self.hashes), "", str(self.signed)]
        return "\n".join(lines)

    def check(self, leaf: bytes) -> None:
        """Check that the leaf is in the tree of the checkpoint, whose signatures are not checked.

        Raises:
            ProofError: It is not.
        """
        checkpoint = self.signed.checkpoint
        check_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a proof file.

        Raises:
            NoteError: It is not one.
        """
        head, separator, checkpoint = text.partition("\n\n")
        first, *lines = head.split("\n")
        if not separator or first != _FIRST_LINE:
            raise NoteError(f"a proof file begins with the line {_FIRST_LINE}")
        extra = None
        if lines and lines[0].startswith(_EXTRA):
            extra = decode_base64(lines.pop(0).removeprefix(_EXTRA))
        index = lines.pop(0).removeprefix(_INDEX) if lines and lines[0].startswith(_INDEX) else ""
        hashes = tuple(decode_base64(line) for line in lines)
        if any(len(one) != HASH_BYTES for one in hashes):
            raise NoteError(f"a proof is made of hashes of {HASH_BYTES} bytes")
        return cls(read_number(index), hashes, SignedCheckpoint.parse(checkpoint), extra)
