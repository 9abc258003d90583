"""The organizations that a store knows, as the use cases need them."""

from collections.abc import Sequence
from typing import Protocol


class Organizations(Protocol):
    """Organizations of one store, by name; thread-safe.

    An organization is known once something was recorded for it, a key was made for it, or a service was
    started for it. Every method raises `StoreUnavailableError` where the store cannot be reached.
    """

    def names(self) -> Sequence[str]:
        """List all organizations, sorted."""

    def names_with_signals(self) -> Sequence[str]:
        """List the organizations that a signal came for, as far as the projections show; sorted."""

    def register(self, organization: str) -> None:
        """Make an organization known before anything is recorded for it; again changes nothing."""
