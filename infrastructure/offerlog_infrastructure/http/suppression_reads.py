"""Suppressions of visitors, read and encoded in a thread for look-ups."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.read_models import Suppression, TooManySuppressionsError
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.presentation.documents import describe_suppression


def read_suppressions(
    service: Offerlog, organization: str, visitors: Sequence[VisitorKey]
) -> Mapping[VisitorKey, bytes]:
    """Return the suppressions of different visitors as JSON arrays, by visitor.

    Raises:
        StoreUnavailableError: The store cannot be reached.
        ReadTimeoutError: It took longer than a look-up may.
    """
    found: Mapping[VisitorKey, Sequence[Suppression]] | None = None
    if len(visitors) > 1:
        with suppress(TooManySuppressionsError):  # a batch has a limit, and a single visitor does not
            found = service.suppressions_of(visitors, organization=organization)
    if found is None:
        found = {one: service.suppressions(one.id, one.type, organization=organization) for one in visitors}
    return {
        visitor: encode_escaped([describe_suppression(one) for one in suppressions])
        for visitor, suppressions in found.items()
    }
