"""The judge of several servers: one log of all, for the checker, and whether everything is where it belongs.

It reads tables, and shares no code with the product.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soak.evidence import Evidence, Violation, attempts_of
from soak.gathering import seen_in
from soak.history import Entry
from soak.key_copies import SELECT_KEYS, SELECT_SECRETS, KeyCopies
from soak.server import Server
from soak.shards.archives import read_archived
from soak.store_copy import StoreCopy, copy_store

_SELECT_OWNED: Final = "SELECT slice FROM slices WHERE is_owned"
_SELECT_DIRECTORY: Final = "SELECT slice, shard FROM directory"
_SELECT_UNDER_WAY: Final = """
    SELECT 'leaving', slice FROM leaving_slices UNION ALL
    SELECT 'arriving', slice FROM arriving_slices WHERE label > 0 ORDER BY 1, 2
"""
"""What the home notes for those who look is left out: nothing is decided by it, and it may be out of date."""

_MAX_SHOWN: Final = 5


@dataclass(frozen=True)
class ShardCopy:
    """What the server of one shard holds.

    Attributes:
        number: Of the shard.
        owned: The slices that it owns.
        copy: Its tables.
        under_way: What it has of moves that have not ended: how, and the slice.
        wrong_files: What is wrong with the files of its archive.
    """

    number: int
    owned: frozenset[int]
    copy: StoreCopy
    under_way: Sequence[tuple[str, int]] = ()
    wrong_files: Sequence[str] = ()


@dataclass(frozen=True)
class Places:
    """Where a visitor belongs.

    Attributes:
        keys: The keys of the home.
        directory: The shard of each slice, as the home has it.
    """

    keys: KeyCopies
    directory: Mapping[int, int]

    def shard_of(self, organization: str, kind: str, who: str) -> int:
        """Return the number of the shard that has a visitor."""
        return self.directory[self.slice_of(organization, kind, who)]

    def slice_of(self, organization: str, kind: str, who: str) -> int:
        """Return the slice of a visitor."""
        return self.keys.digest(organization, kind, who).int >> 124


@dataclass(frozen=True)
class Copies:
    """What all servers hold.

    Attributes:
        shards: By number.
        places: Where a visitor belongs.
    """

    shards: Sequence[ShardCopy]
    places: Places


def read_places(home: Server, keyring: Path) -> Places:
    """Read where visitors belong.

    Raises:
        UnopenedError: The keyring lacks a key of the home, or a secret cannot be decrypted.
    """
    keys = KeyCopies(keyring, home.sql(SELECT_KEYS), home.sql(SELECT_SECRETS))
    return Places(keys, dict(home.sql(_SELECT_DIRECTORY)))


def copy_shards(servers: Sequence[Server], keyring: Path, archive: Path) -> Copies:
    """Read all servers, the home first.

    Args:
        servers: The servers.
        keyring: The keyring.
        archive: The place of the archive of the home.

    Raises:
        UnopenedError: The keyring lacks a key of one, or a secret cannot be decrypted.
    """
    shards: list[ShardCopy] = []
    for number, server in enumerate(servers):
        archived, wrong = read_archived(server, archive, number)
        shards.append(
            ShardCopy(
                number,
                frozenset(one for (one,) in server.sql(_SELECT_OWNED)),
                copy_store(server.sql, keyring, archived),
                [(how, one) for how, one in server.sql(_SELECT_UNDER_WAY)],
                wrong,
            )
        )
    return Copies(shards, read_places(servers[0], keyring))


def evidence_of(copies: Copies, entries: Sequence[Entry]) -> Evidence:
    """Put the histories and the tables of all servers together, as if they were one store."""
    found = Evidence(attempts_of(entries), [], seen=seen_in(entries), visitors=[], refusals=[])
    found.current, found.actions, found.waiting, found.suppressed = set(), set(), set(), Counter()
    for attempt in found.attempts:
        attempt.position = None  # of several servers: it is no number
    for shard in copies.shards:
        copy = shard.copy
        found.log += copy.log.log
        found.others += copy.log.others
        found.unopened += [f"shard {shard.number}: {one}" for one in copy.unopened]
        found.visitors = [*(found.visitors or ()), *copy.visitors.visitors.values()]
        found.refusals = [*(found.refusals or ()), *copy.refusals]
        found.current |= copy.current
        found.actions |= copy.actions
        found.waiting |= copy.waiting
        found.suppressed.update(copy.suppressed)
    found.log.sort(key=lambda one: (one.stream, one.version, one.position))  # a move changes no position
    return found


def misplaced(copies: Copies, been: Mapping[int, AbstractSet[int]] | None = None) -> Iterator[Violation]:
    """Each slice has one owner; events, visitors and positions are on the server that they belong to.

    Args:
        copies: What all servers hold.
        been: The shards where each slice has been: a move changes no position, so that is one of theirs. By
            default, no slice was moved.
    """
    directory = copies.places.directory
    recorders = been or {number: {shard} for number, shard in directory.items()}
    for one in range(16):
        owners = [shard.number for shard in copies.shards if one in shard.owned]
        if owners != [directory.get(one)]:
            what = f"slice {one:x} is shard {directory.get(one)}'s, and its owners are {owners}"
            yield Violation("slices", "misplaced", what)
    for shard in copies.shards:
        yield from _in_short(_misplaced_in(shard, directory, recorders))
        yield from _in_short(Violation("archives", "misplaced", what) for what in shard.wrong_files)
        for how, one in shard.under_way:
            yield Violation("moves", "other", f"slice {one:x} is still {how} on shard {shard.number}")
    yield from _in_short(_on_two_servers(copies))


def changed_positions(before: Copies, after: Copies) -> Iterator[Violation]:
    """Find the events of a settled moment that a later one lacks, or has at another position."""
    was, now = _positions(before), _positions(after)
    yield from _in_short(
        Violation("events", "lost", f"{one} at position {position} is at {now.get(one)} later")
        for one, position in was.items()
        if now.get(one) != position
    )


def _positions(copies: Copies) -> dict[str, int]:
    return {
        f"version {version} of stream {stream}": position
        for shard in copies.shards
        for position, stream, version in shard.copy.events
    }


def _misplaced_in(
    shard: ShardCopy, directory: Mapping[int, int], recorders: Mapping[int, AbstractSet[int]]
) -> Iterator[Violation]:
    for visitor in shard.copy.visitors.visitors.values():
        right = directory[visitor.right_digest.int >> 124]
        if right != shard.number:
            what = f"the visitor with the token {visitor.token} is on shard {shard.number} instead of {right}"
            yield Violation("visitors", "misplaced", what)
    for position, stream, version in shard.copy.events:
        number = stream.int >> 124
        if directory[number] != shard.number or position >> 40 not in recorders[number]:
            what = (
                f"position {position} (shard {position >> 40}), version {version} of stream {stream} (shard"
                f" {directory[number]}) is on shard {shard.number}"
            )
            yield Violation("events", "misplaced", what)


def _on_two_servers(copies: Copies) -> Iterator[Violation]:
    """Find events, bookkeeping ones too, that a move has left on one server and brought to another."""
    found: dict[int, int] = {}
    for shard in copies.shards:
        for position, stream, version in shard.copy.events:
            other = found.setdefault(position, shard.number)
            if other != shard.number:
                what = (
                    f"position {position}, version {version} of stream {stream}, is on shard {other}, and on"
                    f" {shard.number}"
                )
                yield Violation("events", "doubled", what)


def _in_short(found: Iterable[Violation]) -> Iterator[Violation]:
    listed = list(found)
    yield from listed[:_MAX_SHOWN]
    if len(listed) > _MAX_SHOWN:
        yield Violation(listed[0].check, "misplaced", f"{len(listed) - _MAX_SHOWN} more")
