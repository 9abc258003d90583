"""The errors of proofs and of texts about the tree."""

from offerlog_domain.errors import OfferlogError


class ProofError(OfferlogError):
    """A proof does not show what it claims, or cannot be made from these tiles."""


class NoteError(OfferlogError, ValueError):
    """A text is not a signed note, checkpoint, key or proof file in the expected form."""


class SignatureError(NoteError):
    """A signature line names a known key, and the key did not make it."""
