"""Limits on clients that hold a connection open: with one key, of one organization, of the service."""

from offerlog_application.ports.keys import Key
from offerlog_infrastructure.http.problems import ProblemError
from offerlog_infrastructure.http.shared.counts import OpenCounts


class ClientCounts:
    """Counts the clients of one kind, over all processes of the service.

    Args:
        counts: The counts.
        words: What such clients do, with `{most}` and `{whose}` in it, for the problem.

    Attributes:
        here: Number of clients of this process.
    """

    def __init__(self, counts: OpenCounts, words: str) -> None:
        self._counts = counts
        self._words = words
        self.here = 0

    def enter(self, key: Key, of_key: int, of_organization: int, in_all: int, here: int) -> None:
        """Count a client in; `leave` must follow.

        Args:
            key: The key of the client.
            of_key: The most clients with one key.
            of_organization: The most clients of one organization.
            in_all: The most clients of the service.
            here: The most clients of this process.

        Raises:
            ProblemError: 429, there are too many.
        """
        for open_now, most, whose in (
            (self._counts.of(f"key {key.id}"), of_key, "with this key"),
            (self._counts.of(f"organization {key.organization}"), of_organization, "of this organization"),
            (self.here, here, "here"),
            (self._counts.of("all"), in_all, "here"),
        ):
            if open_now >= most:
                detail = f"{self._words.format(most=most, whose=whose)}: close one"
                raise ProblemError("rate-limited", detail, headers={"Retry-After": "10"})
        self.here += 1
        for name in _names(key):
            self._counts.enter(name)

    def leave(self, key: Key) -> None:
        """Count a client out."""
        self.here -= 1
        for name in _names(key):
            self._counts.leave(name)


def _names(key: Key) -> tuple[str, str, str]:
    return f"key {key.id}", f"organization {key.organization}", "all"
