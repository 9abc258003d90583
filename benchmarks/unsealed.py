"""Switches that leave out sealing, so that a bench can measure its cost."""

from collections.abc import Iterator
from contextlib import contextmanager

from offerlog_infrastructure.postgres.tree.sealer import TreeSealer
from offerlog_infrastructure.sealing import TAG_BYTES, VisitorSealer

_NO_SEAL = bytes(TAG_BYTES)


@contextmanager
def parts_unsealed() -> Iterator[None]:
    """Leave the sealed parts of visitors as they are; keys are made and encrypted nevertheless."""
    seal, open_ = VisitorSealer.seal, VisitorSealer.open
    setattr(VisitorSealer, "open", lambda _, sealed, __: sealed[TAG_BYTES:])  # noqa: B010 - for this run alone
    setattr(VisitorSealer, "seal", lambda _, text, __: _NO_SEAL + text)  # noqa: B010 - for this run alone
    try:
        yield
    finally:
        setattr(VisitorSealer, "seal", seal)  # noqa: B010
        setattr(VisitorSealer, "open", open_)  # noqa: B010


@contextmanager
def no_tree() -> Iterator[None]:
    """Add no event to the tree over the log."""
    seal = TreeSealer.seal
    setattr(TreeSealer, "seal", lambda *_: None)  # noqa: B010 - for this run alone
    try:
        yield
    finally:
        setattr(TreeSealer, "seal", seal)  # noqa: B010
