"""What the checker knows of erased visitors: nothing of them is left but what is public."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from soak.visitor_copies import token_of

if TYPE_CHECKING:
    from soak.evidence import Evidence, Violation

ORGANIZATION: Final = "erased"
"""The organization of the visitors who are erased."""

ERASED: Final = "erased"
"""The kind of a line of the history: an erasure was acknowledged."""

SELECT_TOKENS: Final = "SELECT token FROM erased_visitors WHERE token IS NOT NULL"
SELECT_LEFT: Final = """
    SELECT (SELECT count(*) FROM erasing_visitors),
        (SELECT count(*) FROM visitors JOIN erased_visitors USING (token)),
        (SELECT count(*) FROM suppressions WHERE visitor IN (SELECT token FROM erased_visitors)),
        (SELECT count(*) FROM parked_signals WHERE visitor IN (SELECT token FROM erased_visitors)),
        (SELECT count(*) FROM current_offers WHERE visitor IN (SELECT token FROM erased_visitors))
"""
_PLACES: Final = ("erasing_visitors", "visitors", "suppressions", "parked_signals", "current_offers")

_BLANKED_BYTES: Final = 33
"""A byte 0, and the SHA-256 of what was sealed."""


@dataclass
class ErasedCopy:
    """What is left of erased visitors.

    Attributes:
        tokens: The tokens of all of them.
        customers: Those whose erasure was acknowledged.
        events: The kinds of the events of each token, in order.
        sealed: The positions of events that are not blanked.
        left: The number of rows in each of `_PLACES`.
    """

    tokens: frozenset[int]
    customers: Sequence[str] = ()
    events: dict[int, list[str]] = field(default_factory=dict)
    sealed: list[int] = field(default_factory=list)
    left: Sequence[int] = ()

    def take(self, row: tuple[Any, ...], kind: str, sealed: bytes) -> None:
        """Take an event of an erased visitor in."""
        position, stream, *_ = row
        self.events.setdefault(token_of(stream), []).append(kind)
        if kind != "visitor-erased" and (len(sealed) != _BLANKED_BYTES or sealed[:1] != b"\0"):
            self.sealed.append(position)


def violations(evidence: "Evidence", violation: "type[Violation]") -> "Iterator[Violation]":
    """Each acknowledged erasure is complete: events are blanked, the end is stated last, no row is left."""
    erased = evidence.erased
    if erased is None:
        return
    for place, count in zip(_PLACES, erased.left, strict=False):
        if count:
            yield violation("erasures", "contradicted", f"{count} rows of erased visitors are in {place}")
    if len(erased.tokens) < len(erased.customers):
        what = f"{len(erased.customers)} erasures were acknowledged, and {len(erased.tokens)} took place"
        yield violation("erasures", "lost", what)
    for position in erased.sealed:
        yield violation("erasures", "contradicted", f"the event at position {position} is not blanked")
    for token in erased.tokens:
        kinds = erased.events.get(token, [])
        if kinds[-1:] != ["visitor-erased"] or kinds.count("visitor-erased") != 1:
            yield violation("erasures", "contradicted", f"the events of the token {token} are {kinds}")
    known = {one.who for one in evidence.visitors or ()} & set(erased.customers)
    for customer in sorted(known):
        yield violation("erasures", "contradicted", f"{customer} is still known")
