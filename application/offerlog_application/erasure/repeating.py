"""Erasures that are repeated in a store that was restored from a backup."""

from collections.abc import Sequence
from typing import NamedTuple

from offerlog_application.erasure.erasing import Eraser
from offerlog_application.ports.erasure import OrganizationVisitors
from offerlog_domain.errors import OfferlogError

_PAGE = 200
"""Visitors who share a fence and a wait for the projections."""


class RepeatedErasures(NamedTuple):
    """The erasures that were repeated.

    Attributes:
        erased: Number of visitors who were erased again.
        held: Number of visitors whom a legal hold of the backup protects.
    """

    erased: int
    held: int


class ErasureRepetition:
    """Repeats erasures by the tokens of visitors; thread-safe.

    Args:
        visitors: The visitors of the store.
        eraser: Erases them.
    """

    def __init__(self, visitors: OrganizationVisitors, eraser: Eraser) -> None:
        self._visitors = visitors
        self._eraser = eraser

    def erased_tokens(self) -> Sequence[int]:
        """Return the tokens of all visitors who were erased in this store.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return self._visitors.erased_tokens()

    def repeat(self, tokens: Sequence[int], timeout: float = 60.0) -> RepeatedErasures:
        """Erase the visitors with these tokens, as far as this store holds them.

        Args:
            tokens: Those that `erased_tokens` gives of a later state of this store.
            timeout: Seconds to wait for writers, and for projections that make no progress.

        Raises:
            ErasureUnfinishedError: Keys of visitors are destroyed, and a later step did not end in time.
            StoreUnavailableError: The store cannot be reached.
        """
        erased = held = 0
        errors: list[OfferlogError] = []
        for organization, digests in self._visitors.digests_of(tokens).items():
            for start in range(0, len(digests), _PAGE):
                done = self._eraser.erase_all(organization, digests[start : start + _PAGE], timeout)
                erased += len(done.erasures)
                held += len(done.held)
                errors += done.errors
        if errors:
            raise errors[0]
        return RepeatedErasures(erased, held)
