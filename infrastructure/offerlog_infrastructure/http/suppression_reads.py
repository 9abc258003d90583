"""Suppressions of visitors and their freshness, read and encoded in threads."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.read_models import Suppression, TooManySuppressionsError
from offerlog_domain.identity import VisitorKey
from offerlog_infrastructure.http.responses.escaped_json import encode_escaped
from offerlog_infrastructure.presentation import answers
from offerlog_infrastructure.presentation.documents import describe_freshness, describe_suppression

_FRESH_SECONDS: Final = 0.1


class SuppressionReads:
    """Reads for look-ups; thread-safe.

    Each read asks for the freshness by itself where the known one is too old. So a read that hangs, whatever
    it asks for, holds no other.

    Args:
        service: The application service.
    """

    def __init__(self, service: Offerlog) -> None:
        self._service = service
        self._known: tuple[float, answers.Freshness] | None = None

    def freshness(self) -> answers.Freshness:
        """Return the freshness of what is read after this call, at most a tenth of a second old.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        now, known = time.monotonic(), self._known
        if known is None or now - known[0] > _FRESH_SECONDS:
            known = self._known = now, describe_freshness(self._service.freshness())
        return known[1]

    def read(self, organization: str, visitors: Sequence[VisitorKey]) -> Mapping[VisitorKey, bytes]:
        """Return the answers about different visitors, encoded.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            ReadTimeoutError: It took longer than a look-up may.
        """
        freshness = self.freshness()
        return {
            visitor: encode_escaped(_describe(freshness, suppressions))
            for visitor, suppressions in self._find(organization, visitors).items()
        }

    def _find(
        self, organization: str, visitors: Sequence[VisitorKey]
    ) -> Mapping[VisitorKey, Sequence[Suppression]]:
        if len(visitors) > 1:
            with suppress(TooManySuppressionsError):  # a batch has a limit, and a single visitor does not
                return self._service.suppressions_of(visitors, organization=organization)
        return {
            one: self._service.suppressions(one.id, one.type, organization=organization) for one in visitors
        }


def _describe(freshness: answers.Freshness, suppressions: Sequence[Suppression]) -> answers.Suppressions:
    return {**freshness, "suppressions": [describe_suppression(one) for one in suppressions]}
