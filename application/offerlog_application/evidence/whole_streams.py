"""A bundle of several servers as of earlier positions has the beginning of each stream, without a hole."""

from collections.abc import Iterable
from uuid import UUID

from offerlog_domain.errors import ArgumentError
from offerlog_domain.stream_ids import is_of_visitor
from offerlog_domain.transparency.leaves import StoredRow


class WholeStreams:
    """Counts the events of each visitor-offer, whichever logs they are of.

    Positions of several moments may have a later event of a stream, and not an earlier one, where the stream
    goes on in another log. The verifier would refuse such a bundle.
    """

    def __init__(self) -> None:
        self._found: dict[UUID, tuple[int, int]] = {}

    def add(self, rows: Iterable[StoredRow]) -> None:
        """Count some events."""
        for _, stream_bytes, version, _, _ in rows:
            stream = UUID(bytes=bytes(stream_bytes))
            if is_of_visitor(stream):
                count, last = self._found.get(stream, (0, 0))
                self._found[stream] = count + 1, max(last, version)

    def check(self) -> None:
        """Check that no event is missing before another one of its stream.

        Raises:
            ArgumentError: One is.
        """
        for stream, (count, last) in self._found.items():
            if count != last:
                raise ArgumentError(
                    "as_of",
                    "as_of: it has positions of several moments, so events are left out of the stream"
                    f" {stream} that come before others. Take all of the position of one report",
                )
