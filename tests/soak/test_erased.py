"""The checker sees what an erasure has left behind."""

from uuid import UUID

import pytest

from soak.checker import check
from soak.erased import ErasedCopy
from soak.evidence import Evidence
from soak.visitor_copies import Visitor

TOKEN = 0x1000_0000_0000_8000
STREAM = UUID(int=TOKEN << 64)
BLANKED = b"\0" + bytes(32)


def a_copy(*events: tuple[str, bytes], left: tuple[int, ...] = (0, 0, 0, 0, 0)) -> ErasedCopy:
    """The copy of one erased visitor with these events."""
    copy = ErasedCopy(frozenset([TOKEN]), ["erased-1"], left=left)
    for position, (kind, sealed) in enumerate(events, 1):
        copy.take((position, STREAM, position), kind, sealed)
    return copy


def test_a_complete_erasure_is_no_violation() -> None:
    """Its events are blanked, and the last one states it."""
    evidence = Evidence([], [], visitors=[])
    evidence.erased = a_copy(("offered", BLANKED), ("visitor-erased", b""))
    assert check(evidence) == []


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        (a_copy(("offered", b"x" * 70), ("visitor-erased", b"")), "the event at position 1 is not blanked"),
        (a_copy(("visitor-erased", b""), ("offered", BLANKED)), "the events of the token"),
        (a_copy(("offered", BLANKED)), "the events of the token"),
        (
            a_copy(("visitor-erased", b""), left=(0, 0, 2, 0, 0)),
            "2 rows of erased visitors are in suppressions",
        ),
        (ErasedCopy(frozenset(), ["erased-1"]), "1 erasures were acknowledged, and 0 took place"),
    ],
)
def test_what_an_erasure_leaves_behind_is_a_violation(copy: ErasedCopy, expected: str) -> None:
    """And an acknowledged one that did not take place."""
    evidence = Evidence([], [], visitors=[])
    evidence.erased = copy
    (found,) = check(evidence)
    assert expected in found.what


def test_a_visitor_who_is_still_known_is_a_violation() -> None:
    """By the name, whatever the token is."""
    evidence = Evidence([], [], visitors=[])
    evidence.erased = a_copy(("visitor-erased", b""))
    evidence.visitors = [
        Visitor(TOKEN + 1, "erased", "cookie", "erased-1", UUID(int=1), UUID(int=1), bytes(12))
    ]
    assert "erased-1 is still known" in [one.what for one in check(evidence)]
