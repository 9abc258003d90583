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

_MOST_KNOWN: Final = 1_000
"""Most sets of servers whose freshness is remembered. With one server, there is one."""


class SuppressionReads:
    """Reads for look-ups; thread-safe.

    Each read asks for the freshness by itself where the known one is too old. So a read that hangs, whatever
    it asks for, holds no other.

    Args:
        service: The application service.
    """

    def __init__(self, service: Offerlog) -> None:
        self._service = service
        self._known: dict[frozenset[int], tuple[float, answers.Freshness]] = {}

    def find_server(self, organization: str, visitor: VisitorKey) -> frozenset[int]:
        """Return the number of the server that has a visitor."""
        return self._service.shards_of((visitor,), organization=organization)

    def freshness(self, organization: str, visitors: Sequence[VisitorKey]) -> answers.Freshness:
        """Return the freshness of what is read of visitors after this call, at most a tenth of a second old.

        Raises:
            StoreUnavailableError: The store cannot be reached.
        """
        shards = self._service.shards_of(visitors, organization=organization)
        now, known = time.monotonic(), self._known.get(shards)
        if known is None or now - known[0] > _FRESH_SECONDS:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            known = self._known[shards] = now, describe_freshness(self._service.freshness_of(shards))
        return known[1]

    def read(self, organization: str, visitors: Sequence[VisitorKey]) -> Mapping[VisitorKey, bytes]:
        """Return the answers about different visitors, encoded.

        Raises:
            StoreUnavailableError: The store cannot be reached.
            ReadTimeoutError: It took longer than a look-up may.
        """
        freshness = self.freshness(organization, visitors)
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
