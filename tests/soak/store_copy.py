"""A copy of all tables of one store, decoded and opened without the product's code."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from soak import shown
from soak.erased import SELECT_LEFT, SELECT_TOKENS, ErasedCopy
from soak.key_copies import SELECT_KEYS, SELECT_SECRETS, KeyCopies, UnopenedError
from soak.log_copy import READ, SERVICE, LogCopy, decoded
from soak.shown import CurrentAction, CurrentOffer, Suppressed, Waiting
from soak.visitor_copies import SELECT_VISITORS, VisitorCopies

_REFUSALS: Final = "SELECT organization, recorded_at, reason, sealed_text FROM refusals"

Rows = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement; returns its rows."""


@dataclass
class StoreCopy:
    """What a store holds.

    Attributes:
        keys: Its keys, as they are in its own tables.
        visitors: The visitors, and their keys.
        log: The log.
        events: Position, stream and version of all events of visitors, whether they can be opened or not.
        erased: What is left of erased visitors.
        refusals: Organization, reason and text.
        current: The projection of current states, by visitor-offer; `actions`: by action.
        waiting: The projection of parked signals.
        suppressed: The suppression lists.
        unopened: What could not be opened, in words.
    """

    keys: KeyCopies
    visitors: VisitorCopies
    log: LogCopy
    events: list[tuple[int, UUID, int]]
    erased: ErasedCopy
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    current: set[CurrentOffer] = field(default_factory=set)
    actions: set[CurrentAction] = field(default_factory=set)
    waiting: set[Waiting] = field(default_factory=set)
    suppressed: Counter[Suppressed] = field(default_factory=Counter)
    unopened: list[str] = field(default_factory=list)


def copy_store(rows: Rows, keyring: Path, archived: Sequence[tuple[Any, ...]] = ()) -> StoreCopy:
    """Read a store.

    Args:
        rows: Runs statements in it.
        keyring: The keyring.
        archived: The events in the files of its archive, as its table has events.

    Raises:
        UnopenedError: The keyring lacks a key of the store, or a secret cannot be decrypted.
    """
    keys = KeyCopies(keyring, rows(SELECT_KEYS), rows(SELECT_SECRETS))
    events = sorted([*rows(READ), *archived])
    visitors = VisitorCopies(rows(SELECT_VISITORS), keys)  # read last: it has those of all events
    erased = ErasedCopy(frozenset(token for (token,) in rows(SELECT_TOKENS)))
    log = decoded(events, visitors, erased)
    (erased.left,) = rows(SELECT_LEFT)
    of_visitors = [(row[0], row[1], row[2]) for row in events if row[3].rpartition(".")[0] not in SERVICE]
    found = StoreCopy(keys, visitors, log, of_visitors, erased, unopened=visitors.unopened + log.unopened)
    found.current = {CurrentOffer(*row) for row in rows(shown.SELECT_OFFERS)}
    found.actions = {CurrentAction(*row) for row in rows(shown.SELECT_ACTIONS)}
    _copy_refusals(found, rows)
    _copy_sealed_rows(found, rows)
    return found


def _copy_refusals(found: StoreCopy, rows: Rows) -> None:
    for organization, at, reason, sealed in rows(_REFUSALS):
        try:
            text = found.keys.open_text(organization, at, reason, sealed)
        except UnopenedError as error:
            found.unopened.append(f"the text of a refusal ({reason}) of {organization} at {at}: {error}")
        else:
            found.refusals.append((organization, reason, text))


def _copy_sealed_rows(found: StoreCopy, rows: Rows) -> None:
    """Open the rows of projections that keep sealed parts: parked signals, and suppressions."""
    for row in rows(shown.SELECT_PARKED):
        try:
            found.waiting.add(shown.open_waiting(row, found.visitors))
        except UnopenedError as error:
            found.unopened.append(f"a parked signal of {row[0]} version {row[1]}: {error}")
    for row in rows(shown.SELECT_SUPPRESSIONS):
        try:
            found.suppressed[shown.open_suppressed(row, found.visitors)] += 1
        except UnopenedError as error:
            found.unopened.append(f"a suppression of the visitor {row[0]} and the map {row[2]}: {error}")
