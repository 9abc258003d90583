"""Checks of the visitors: each has one row, its sealed parts open, and ids of streams follow from it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from soak.evidence import Evidence, Violation
from soak.log_copy import Logged
from soak.visitor_copies import Visitor, stream_of, token_of

_MAX_SHOWN = 5


_RACE_SECONDS: Final = 60
"""So much later a writer may have decided that made the row of a visitor, while the first one stood still."""


def unopened(evidence: Evidence) -> Iterator[Violation]:
    """Whatever is sealed opens with the key of its visitor, at its place."""
    for what in evidence.unopened[:_MAX_SHOWN]:
        yield Violation("sealed parts", "lost", what)
    if len(evidence.unopened) > _MAX_SHOWN:
        yield Violation("sealed parts", "lost", f"{len(evidence.unopened) - _MAX_SHOWN} more do not open")


def visitors(evidence: Evidence) -> Iterator[Violation]:
    """A visitor has one row, with the digest of its names, and events."""
    if evidence.visitors is None:
        return
    logged: defaultdict[int, list[Logged]] = defaultdict(list)
    for event in evidence.log:
        logged[event.token].append(event)
    rows = Counter((one.organization, one.kind, one.who) for one in evidence.visitors)
    for names, count in rows.items():
        if count > 1:
            yield Violation("visitors", "doubled", f"the visitor {names} has {count} rows")
    for visitor in evidence.visitors:
        if wrong := _wrong(visitor, logged.get(visitor.token, [])):
            where = f"{visitor.kind} {visitor.who} of {visitor.organization}, token {visitor.token}"
            yield Violation("visitors", "contradicted", f"{where}: {wrong}")
    for token in sorted(logged.keys() - {one.token for one in evidence.visitors}):
        yield Violation("visitors", "lost", f"token {token} of {len(logged[token])} events is no visitor's")


def _wrong(visitor: Visitor, events: list[Logged]) -> str | None:
    """Say what a row contradicts; its token is a slice, a second, chance and the digit of a version."""
    token = visitor.token % (1 << 64)
    if visitor.digest != visitor.right_digest:
        return f"the digest is {visitor.digest} instead of {visitor.right_digest}"
    if token >> 60 != visitor.digest.int >> 124:
        return f"the slice is {token >> 60:x}, and the digest {visitor.digest}"
    if token >> 12 & 0xF != 8:
        return "the token has another version than 8"
    if not events:
        return "no event is in the visitor's streams"
    second = int(min(one.recorded for one in events).timestamp())
    # Of two writers that meet a new visitor, the one that decides later may make the row.
    if not 0 <= (token >> 28 & 0xFFFF_FFFF) - second <= _RACE_SECONDS:
        return f"first seen at {token >> 28 & 0xFFFF_FFFF}, and the first event is of {second}"
    return None


def stream_ids(evidence: Evidence) -> Iterator[Violation]:
    """The id of a stream is that of its visitor's token and its action map."""
    for stream, action_map in sorted({(one.stream, one.pair.action_map) for one in evidence.log}):
        right = str(stream_of(token_of(UUID(stream)), action_map))
        if stream != right:
            what = f"stream {stream} is about the action map {action_map}, whose stream is {right}"
            yield Violation("stream ids", "contradicted", what)


def nonces(evidence: Evidence) -> Iterator[Violation]:
    """No two sealed parts of a visitor have the same nonce."""
    found = Counter((one.token, one.nonce) for one in evidence.log)
    found.update((one.token, one.nonce) for one in evidence.visitors or ())
    for (token, nonce), count in found.items():
        if count > 1:
            what = f"{count} sealed parts of the visitor {token} have the nonce {nonce.hex()}"
            yield Violation("sealed parts", "contradicted", what)
