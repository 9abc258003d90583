"""Switches that leave out sealing, so that a bench can measure its cost."""

from collections.abc import Iterator
from contextlib import contextmanager

from offerlog_infrastructure.postgres.tree.sealer import TreeSealer
from offerlog_infrastructure.sealing import SEAL_BYTES, Sealer

_NO_SEAL = bytes(SEAL_BYTES)


@contextmanager
def parts_unsealed() -> Iterator[None]:
    """Leave what is sealed as it is; keys are made and encrypted nevertheless."""
    seal, open_ = Sealer.seal, Sealer.open
    setattr(Sealer, "open", lambda _, sealed, __: sealed[SEAL_BYTES:])  # noqa: B010 - for this run alone
    setattr(Sealer, "seal", lambda _, text, __: _NO_SEAL + text)  # noqa: B010 - for this run alone
    try:
        yield
    finally:
        setattr(Sealer, "seal", seal)  # noqa: B010
        setattr(Sealer, "open", open_)  # noqa: B010


@contextmanager
def no_tree() -> Iterator[None]:
    """Add no event to the tree over the log."""
    seal = TreeSealer.seal
    setattr(TreeSealer, "seal", lambda *_: None)  # noqa: B010 - for this run alone
    try:
        yield
    finally:
        setattr(TreeSealer, "seal", seal)  # noqa: B010
