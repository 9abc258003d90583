"""Visitors' rights for asyncio: the methods of `VisitorRights` that may wait, as coroutines."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from offerlog_application.erasure.rights import VisitorRights
from offerlog_application.ports.erasure import Erasure, HeldRow, LegalHold
from offerlog_application.reading.call_threads import CallThreads, Kind

T = TypeVar("T")


class AsyncRights:
    """The part of `AsyncOfferlog` that answers the requests of visitors.

    Every method has the arguments, the answer and the errors of the method of `Offerlog` with the same name.
    An erasure that has begun is not stopped by cancelling its call; the same call again goes on.
    """

    _service: VisitorRights
    _threads: CallThreads

    async def erase(
        self,
        *,
        customer_id: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
        timeout: float = 60.0,  # noqa: ASYNC109 - as `Offerlog.erase`, for each of its steps
    ) -> Erasure:
        """Erase a visitor: nothing that identifies the visitor can be read any more, and all counts stay."""
        return await self._call(
            partial(
                self._service.erase,
                customer_id=customer_id,
                customer_id_type=customer_id_type,
                organization=organization,
                timeout=timeout,
            )
        )

    async def visitor_data(
        self, *, customer_id: str, customer_id_type: str = "cookie", organization: str | None = None
    ) -> Sequence[HeldRow]:
        """Return all that is held of a visitor, opened, each part with the table that holds it."""
        return await self._call(
            partial(
                self._service.visitor_data,
                customer_id=customer_id,
                customer_id_type=customer_id_type,
                organization=organization,
            )
        )

    async def hold_visitor(
        self,
        *,
        customer_id: str,
        reason: str,
        customer_id_type: str = "cookie",
        organization: str | None = None,
    ) -> None:
        """Forbid to erase a visitor, or change the reason."""
        await self._call(
            partial(
                self._service.hold_visitor,
                customer_id=customer_id,
                reason=reason,
                customer_id_type=customer_id_type,
                organization=organization,
            )
        )

    async def lift_hold(
        self, *, customer_id: str, customer_id_type: str = "cookie", organization: str | None = None
    ) -> bool:
        """Allow to erase a visitor again; returns False if there was no hold."""
        return await self._call(
            partial(
                self._service.lift_hold,
                customer_id=customer_id,
                customer_id_type=customer_id_type,
                organization=organization,
            )
        )

    async def legal_holds(self, organization: str | None = None) -> Sequence[LegalHold]:
        """Return the visitors who may not be erased, oldest hold first."""
        return await self._call(partial(self._service.legal_holds, organization))

    async def _call(self, call: Callable[[], T]) -> T:
        return await self._threads.run(Kind.READ, call)
