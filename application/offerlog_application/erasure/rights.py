"""Visitors' rights in an open service: erasure, legal holds, and all that is held of a visitor."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from offerlog_application.erasure.erasing import Eraser
from offerlog_application.ports.clock import Clock
from offerlog_application.ports.erasure import (
    LONGEST_REASON,
    Erasure,
    Erasures,
    HeldRow,
    LegalHold,
    NoSuchVisitorError,
)
from offerlog_application.ports.organizations import OrganizationScope
from offerlog_domain.errors import ArgumentError
from offerlog_domain.identity import VisitorKey, parse_visitor_key

_ERASING_SECONDS: Final = 60.0
"""Seconds for which an erasure waits at each step unless its caller says otherwise."""


class VisitorRights(OrganizationScope):
    """The part of `Offerlog` that answers the requests of visitors."""

    def __init__(
        self, erasures: Erasures, eraser: Eraser, clock: Clock, digest: Callable[[str, VisitorKey], UUID]
    ) -> None:
        self._erasures = erasures
        self._eraser = eraser
        self._rights_clock = clock
        self._digest_of = digest

    def erase(
        self,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
        timeout: float = _ERASING_SECONDS,
    ) -> Erasure:
        """Erase a visitor: nothing that identifies the visitor can be read any more, and all counts stay.

        Returns when every projection follows it. Signals of the visitor that arrive later begin a new life.
        The same call again goes on with an erasure that was interrupted.

        Args:
            customer_id: The visitor's id.
            customer_id_type: The type of that id.
            organization: The tenant; None for the organization of the service.
            timeout: Seconds to wait for writers, and for projections that make no progress.

        Raises:
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
            NoSuchVisitorError: Nothing is held of the visitor.
            LegalHoldError: A legal hold forbids it; says why. Nothing was changed.
            ErasureUnfinishedError: The visitor's key is destroyed, and a later step did not end in time.
            StoreUnavailableError: The store cannot be reached. The key may be destroyed; erase again.
        """
        name, visitor = self._named(organization, customer_id, customer_id_type)
        return self._eraser.erase(name, self._digest_of(name, visitor), timeout)

    def visitor_data(
        self, *, customer_id: str, customer_id_type: str = "cookie", organization: str | None = None
    ) -> Sequence[HeldRow]:
        """Return all that is held of a visitor, opened, each part with the table that holds it.

        Raises:
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
            NoSuchVisitorError: Nothing is held of the visitor.
            StoreUnavailableError: The store cannot be reached.
        """
        name, visitor = self._named(organization, customer_id, customer_id_type)
        found = self._erasures.held_rows(name, self._digest_of(name, visitor), visitor)
        if not found:
            raise NoSuchVisitorError(name)
        return found

    def hold_visitor(
        self,
        *,
        customer_id: str,
        reason: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> None:
        """Forbid to erase a visitor until the hold is lifted. A second call changes the reason.

        Args:
            customer_id: The visitor's id.
            reason: Is in the error of every attempt to erase the visitor; at most 1,000 characters.
            customer_id_type: The type of that id.
            organization: The tenant; None for the organization of the service.

        Raises:
            ArgumentError: The reason is empty or too long.
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
            NoSuchVisitorError: No event was ever recorded of the visitor.
            StoreUnavailableError: The store cannot be reached.
        """
        if not 0 < len(reason.strip()) <= LONGEST_REASON or "\0" in reason:
            raise ArgumentError("reason", f"give a reason of at most {LONGEST_REASON:,} characters")
        name, visitor = self._named(organization, customer_id, customer_id_type)
        digest, now = self._digest_of(name, visitor), self._rights_clock.now()
        if not self._erasures.hold(name, digest, reason.strip(), now):
            raise NoSuchVisitorError(name, "a legal hold needs an event, and none is known of this visitor")

    def lift_hold(
        self, *, customer_id: str, customer_id_type: str = "cookie", organization: str | None = None
    ) -> bool:
        """Allow to erase a visitor again; returns False if there was no hold.

        Raises:
            MalformedSignalError: An id is not valid; says which, by its wire name, and why.
            StoreUnavailableError: The store cannot be reached.
        """
        name, visitor = self._named(organization, customer_id, customer_id_type)
        return self._erasures.lift(self._digest_of(name, visitor))

    def legal_holds(self, organization: str | None = None) -> Sequence[LegalHold]:
        """Return the visitors who may not be erased, oldest hold first.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        return self._erasures.holds(self._of(organization))

    def remove_remains(self, *, rewrite: bool = False) -> None:
        """Remove former versions of rows, such as the ciphertext of erased visitors.

        Args:
            rewrite: True to write the tables into new files, which nothing of the former rows is in. Each
                table is locked meanwhile, for readers too. False to make the place of such rows free, as
                PostgreSQL does by itself after a while: their bytes stand there until it is used again.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        self._erasures.remove_remains(rewrite=rewrite)

    def _named(self, organization: str | None, customer_id: str, kind: str) -> tuple[str, VisitorKey]:
        visitor = parse_visitor_key(customer_id=customer_id, customer_id_type=kind)
        return self._of(organization), visitor
