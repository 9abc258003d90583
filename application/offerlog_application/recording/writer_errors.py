"""Errors of the writer that callers get."""

from offerlog_application.ports.event_log import OutcomeUnknownError, VersionConflictError
from offerlog_domain.errors import OfferlogError


class ContendedError(OfferlogError):
    """Other writers kept getting to the same visitor-offer first; nothing of this request was stored.

    Also if the store kept refusing the request for such a conflict, and named no visitor-offer.
    """


class OrganizationDeletedError(OfferlogError):
    """The organization was deleted while this request was on its way; nothing of the request was stored.

    Sent again, the request begins the organization anew.

    Attributes:
        organization: The organization.
    """

    def __init__(self, organization: str) -> None:
        super().__init__(
            f"the organization {organization!r} was deleted meanwhile, and nothing of this was stored; send"
            " it again only if the organization shall begin anew"
        )
        self.organization = organization


class WriterFailedError(OutcomeUnknownError):
    """The writer broke off a group for a reason nobody foresaw; the group may or may not be stored.

    Sending the same signals again is safe: what was recorded will be recognised.
    """

    def __init__(self, cause: BaseException) -> None:
        Exception.__init__(
            self,
            f"the writer broke off: {cause!r}; send the same signals again: what was recorded is recognised",
        )
        self.transaction = ""


def to_contended(conflict: VersionConflictError) -> ContendedError:
    """Return the caller's error for an append that was refused each time, by no writer to be waited for."""
    error = ContendedError(
        f"the store has refused this request time and again ({conflict}); nothing of it was stored: send it"
        " again later"
    )
    error.__cause__ = conflict
    return error
