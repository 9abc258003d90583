"""The errors of proofs, and of signed texts about the tree of the log (docs/audit.md)."""

from offerlog_domain.errors import OfferlogError


class ProofError(OfferlogError):
    """A proof does not show what it claims, or the tree does not have what is to be proved."""


class NoteError(OfferlogError, ValueError):
    """A text is not a signed note, checkpoint, key or proof file in the expected form."""


class SignatureError(NoteError):
    """A signature line names a known key, and the key did not make it."""
