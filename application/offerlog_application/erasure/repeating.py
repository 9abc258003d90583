"""Erasures that are repeated in a store that was restored from a backup."""

from collections.abc import Sequence
from typing import Final

from offerlog_application.erasure.erasing import Eraser
from offerlog_application.ports.erasure import OrganizationVisitors
from offerlog_domain.errors import OfferlogError

_PAGE: Final = 200
"""Visitors who share a fence and a wait for the projections."""


class ErasureRepetition:
    """Repeats erasures by the tokens of visitors; thread-safe.

    Args:
        visitors: The visitors of the store.
        eraser: Erases them.
    """

    def __init__(self, visitors: OrganizationVisitors, eraser: Eraser) -> None:
        self._visitors = visitors
        self._eraser = eraser

    def repeat(self, tokens: Sequence[int], timeout: float = 60.0) -> int:
        """Erase the visitors with these tokens, as far as this store holds them; returns their number.

        One visitor's error does not stop the others. The first such error is raised at the end.

        Args:
            tokens: Tokens of erased visitors, from the list of erasures outside of the store.
            timeout: Seconds to wait at each step; it begins anew for every 200 visitors.

        Raises:
            ErasureUnfinishedError: Keys of visitors are destroyed, and a later step did not end in time.
            StoreUnavailableError: The store cannot be reached.
        """
        erased = 0
        errors: list[OfferlogError] = []
        for organization, digests in self._visitors.digests_of(tokens).items():
            for start in range(0, len(digests), _PAGE):
                done = self._eraser.erase_all(organization, digests[start : start + _PAGE], timeout)
                erased += len(done.erasures)
                errors += done.errors
        if errors:
            raise errors[0]
        return erased
